#include "agent/proxy/first_bytes.h"

#include "agent/net/combine.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

net::Task<void> client_speaks(net::Stream& client) { co_await client.ready(net::Want::read); }

// Opens the one upstream that address:port allows, and returns when it speaks, ends, or can't be
// opened.
net::Task<std::optional<upstream::Failure>> upstream_speaks(Worker& worker,
                                                            mesh::ClusterPtr cluster,
                                                            upstream::Need need,
                                                            upstream::Connection& into) {
  auto acquired = co_await worker.upstreams().acquire(std::move(cluster), need);
  if (!acquired) co_return acquired.error();
  into = std::move(*acquired);
  co_await into.stream.ready(net::Want::read);
  co_return std::nullopt;
}

// The first byte may take its time; those after it may not.
net::Task<FirstBytes> sniff_client(Client& client, FirstBytes found, bool silent_is_opaque) {
  for (bool ended = false;;) {
    if (!client.inbox.empty() || ended) {
      auto sniffed = sniff::sniff(client.inbox.bytes(), ended);
      if (sniffed.verdict == sniff::Verdict::decided) {
        found.preface = std::move(sniffed.preface);
        found.note = sniffed.note;
        break;
      }
    }
    const bool first = client.inbox.empty();
    const ssize_t count = co_await read_more(client);
    if (count > 0 && first) client.stream.set_deadline(limits::client_hello_time);
    if (count <= 0 && client.inbox.empty()) {
      found.gone = !silent_is_opaque;
      found.preface.protocol = sniff::Protocol::opaque;
      break;
    }
    ended = count <= 0;  // End, time over, or more than sniff_bytes: what there is decides.
  }
  client.stream.set_deadline(std::chrono::milliseconds(0));
  co_return found;
}

}  // namespace

net::Task<FirstBytes> first_bytes(Client& client, Worker& worker, Expected expected) {
  FirstBytes found;
  if (!expected.sniff) {
    found.preface.protocol = sniff::Protocol::opaque;
    co_return found;
  }
  client.stream.set_deadline(expected.first_byte);
  // What came behind a PROXY header was read with it.
  if (!expected.silent_client || !client.inbox.empty())
    co_return co_await sniff_client(client, std::move(found), expected.silent_is_opaque);
  if (co_await net::with_deadline(worker.loop(), expected.grace, client_speaks(client.stream)))
    co_return co_await sniff_client(client, std::move(found), expected.silent_is_opaque);

  const auto need = tcp_need(client, *expected.silent_client);
  auto first = co_await net::when_any(
      client_speaks(client.stream),
      upstream_speaks(worker, std::move(expected.silent_client), need, found.upstream));
  if (first.index() == 0)
    co_return co_await sniff_client(client, std::move(found), expected.silent_is_opaque);
  client.stream.set_deadline(std::chrono::milliseconds(0));
  found.failure = std::get<1>(std::move(first));
  found.preface.protocol = sniff::Protocol::opaque;
  co_return found;
}

}  // namespace sallyport::proxy
