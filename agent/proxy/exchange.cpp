#include "agent/proxy/exchange.h"

#include "agent/core/wall_clock.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

Exchange::Exchange(Client& client, Worker& worker)
    : client_(client),
      worker_(worker),
      request_((*heads_).request),
      response_((*heads_).response),
      try_timer_(worker.loop(), upstream_) {
  static_cast<http::HeadFacts&>(request_) = {};
  static_cast<http::HeadFacts&>(response_) = {};
}

Exchange::~Exchange() { log_end(); }

void Exchange::log_end() {
  if (!std::exchange(started_, false)) return;
  record_.duration_us = wall_clock_us() - record_.start_us;
  record_.bytes_received += body_.content_bytes() + relayed_.from_client;
  record_.bytes_sent += answer_body_.content_bytes() + relayed_.to_client;
  worker_.metrics().downstream_rq_active.sub();
  worker_.metrics().count_end(record_);
  auto& standard = worker_.standard_metrics();
  const bool inside = record_.server_side;
  standard.count_request(
      record_, {cluster_, inside ? principals_of(standard, client_.stream.ssl()) : principals_});
  worker_.log().write(record_);
}

// The record points into the inbox, so it is written before the next request may move there.
void Exchange::make_way() {
  log_end();
  client_.stream.set_deadline(std::chrono::milliseconds(0));
  client_.inbox.consume(request_.size + at_hand_.size());
  client_.inbox.append(pipelined_);
}

net::Task<Next> serve_request(Client& client, Worker& worker) {
  Exchange x(client, worker);
  auto parsed = x.take_head();
  if (parsed == http::Parse::more) parsed = co_await x.await_head();
  if (x.client_left_) co_return Next::close;

  auto refusal = x.refuse_head(parsed);
  if (!refusal)
    refusal = x.take_body_at_hand();  // Before any other: what follows a refused request is not a
                                      // request.
  if (!refusal) refusal = x.route();
  if (!refusal && (x.actions_ || x.destination_headers_)) refusal = co_await x.act();
  if (!refusal) refusal = x.no_cluster();
  if (refusal) co_return co_await x.refuse(*refusal);
  x.begin_timeout();

  for (;;) {
    if (!x.take_idle() && !co_await x.connect()) {
      if (x.client_left_) co_return x.finish(Exchange::Answered::client_left);
      co_return co_await x.refuse(x.failed_connect());
    }
    co_await x.send_request();
    const auto answered =
        x.body_.over() ? co_await x.relay_answer() : co_await x.relay_answer_and_body();
    if (x.may_retry(answered)) {
      co_await x.back_off();
      continue;
    }
    if (answered == Exchange::Answered::upgraded) co_return co_await x.relay_upgraded();
    const bool answerable =
        answered != Exchange::Answered::whole && answered != Exchange::Answered::client_left;
    if (answerable && !x.head_forwarded_) co_return co_await x.refuse(x.failed_answer(answered));
    co_return x.finish(answered);
  }
}

}  // namespace sallyport::proxy
