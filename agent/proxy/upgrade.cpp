// Exchange, after a 101: bytes both ways until the WebSocket ends.
#include "agent/net/relay.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

// A WebSocket outlives its snapshot and its buffers: only the log's words are kept.
void Exchange::detach_record() {
  std::string_view* const views[] = {
      &record_.method,        &record_.path,       &record_.authority, &record_.user_agent,
      &record_.forwarded_for, &record_.request_id, &record_.scheme};
  std::size_t size = 0;
  for (const auto* view : views) size += view->size();
  kept_.reserve(size);
  for (auto* view : views) {
    const auto at = kept_.size();
    kept_.append(*view);
    *view = std::string_view(kept_).substr(at);
  }
}

net::Task<Next> Exchange::relay_upgraded() {
  detach_record();
  client_.inbox.consume(request_.size);
  net::RelayCounts& counts = relayed_;
  net::RelayEnd end;
  counts.from_client = client_.inbox.bytes().size();
  counts.to_client = answer_.bytes().size();
  if (counts.from_client && !co_await upstream_.stream.write_all(client_.inbox.bytes()))
    end.error = upstream_.stream.failure(Side::upstream);
  if (!end.error && counts.to_client && !co_await client_.stream.write_all(answer_.bytes()))
    end.error = client_.stream.failure(Side::downstream);
  client_.inbox.consume(client_.inbox.bytes().size());
  client_.inbox.release();
  answer_.consume(answer_.bytes().size());
  answer_.release();
  const auto idle = cluster_->tcp_idle;
  std::optional<Kept> kept;
  if (client_.inbound) kept.emplace(worker_.kept(), client_, judged_by_);
  if (!end.error) end = co_await net::relay(client_.stream, upstream_.stream, counts, idle);
  if (kept && kept->cut_off()) record_.termination_details = no_longer_let_in;
  if (end.error) record_.flags |= observe::flag_of(*end.error);
  co_return Next::close;
}

}  // namespace sallyport::proxy
