#include "agent/proxy/http_proxy.h"

#include "agent/proxy/exchange.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

// Between requests: no buffer is held, only a deadline. False: the client has gone.
net::Task<bool> await_request(Client& client) {
  client.inbox.release();
  client.stream.set_deadline(limits::http_idle);
  co_await client.stream.ready(net::Want::read);
  const bool here = co_await read_more(client) > 0;
  client.stream.set_deadline(std::chrono::milliseconds(0));
  co_return here;
}

// Some clients end a body with an empty line too many (RFC 9112 section 2.2): no request has begun
// with it.
void drop_empty_lines(Inbox& inbox) {
  while (inbox.bytes().starts_with("\r\n")) inbox.consume(2);
}

}  // namespace

net::Task<void> serve_http(Client client, Worker& worker) {
  for (;;) {
    drop_empty_lines(client.inbox);
    if (client.inbox.empty() && !co_await await_request(client)) co_return;
    if (client.inbox.bytes() == "\r\n") continue;
    const auto next = co_await serve_request(client, worker);
    if (next == Next::keep) continue;
    if (next == Next::say_goodbye) co_await close_gently(client);
    co_return;
  }
}

}  // namespace sallyport::proxy
