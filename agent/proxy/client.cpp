#include "agent/proxy/client.h"

#include "agent/net/socket_owner.h"

namespace sallyport::proxy {

const upstream::ClientAddresses* addresses_of(Client& client) {
  if (!client.addresses) {
    client.addresses = std::make_unique<upstream::ClientAddresses>(
        upstream::ClientAddresses{client.source(), client.dialled()});
  }
  return client.addresses.get();
}

net::Task<ssize_t> read_more(Client& client) {
  const auto room = client.inbox.room();
  if (room.empty()) co_return 0;
  const ssize_t count = co_await client.stream.read(room);
  if (count > 0) client.inbox.filled(std::size_t(count));
  co_return count;
}

bool has_left(const Client& client) {
  if (client.inbound) return true;
  return net::owner_of(client.stream.peer(), client.destination) == net::SocketOwner::nobody;
}

net::Task<void> close_gently(Client& client) {
  client.stream.shutdown_write();
  client.stream.set_deadline(limits::linger_time);
  for (std::size_t dropped = 0; dropped < limits::linger_bytes;) {
    co_await client.stream.ready(net::Want::read);
    const auto sink = net::Buffers::take();
    const ssize_t count = co_await client.stream.read({sink.get(), net::Buffers::size});
    if (count <= 0) co_return;
    dropped += std::size_t(count);
  }
}

}  // namespace sallyport::proxy
