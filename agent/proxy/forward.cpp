// Exchange, second part: an upstream connection, and the request on it.
#include "agent/core/wall_clock.h"
#include "agent/net/combine.h"
#include "agent/proxy/body_rate.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/log_facts.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

// Envoy's jittered exponential back-off: anything up to base * 2^n, at most ten times the base.
std::chrono::milliseconds backoff(std::chrono::milliseconds base, int attempt, uint32_t random) {
  const auto most = std::min(base * (1 << std::min(attempt, 5)), base * 10);
  return std::chrono::milliseconds(random % (most.count() + 1));
}

// RFC 9110 section 9.2.2: only these may be sent twice when it is not known whether the first
// arrived.
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

std::string_view without_port(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

http::ForwardClientCert forwarding_of(istio::ForwardClientCert asked) {
  using Asked = istio::ForwardClientCert;
  using How = http::ForwardClientCert;
  switch (asked) {
    case Asked::sanitize:
      return How::sanitize;
    case Asked::forward_only:
      return How::forward_only;
    case Asked::append_forward:
      return How::append_forward;
    case Asked::always_forward_only:
      return How::always_forward_only;
    default:
      return How::sanitize_set;
  }
}

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

}  // namespace

// Head and the body at hand as one message: one call, and under TLS one record (measured as the
// largest single gain).
std::span<iovec> with_body(http::Outgoing& out, std::string_view body) {
  if (!body.empty()) out.pieces[out.count++] = {const_cast<char*>(body.data()), body.size()};
  return {out.pieces.data(), out.count};
}

// SNI, the name to verify and the pool's key follow the host in lower case: names have no case.
upstream::Need Exchange::need() {
  upstream::Need need;
  need.authority = without_port(outgoing().authority());
  if (std::any_of(need.authority.begin(), need.authority.end(), is_upper)) {
    host_ = need.authority;
    for (char& c : host_)
      if (is_upper(c)) c = char(c | 0x20);
    need.authority = host_;
  }
  if (!client_.of_gateway()) need.original_destination = client_.destination;
  if (cluster_->load) need.hash = hash();
  if (cluster_->of_clients()) need.client = addresses_of(client_);
  return need;
}

bool Exchange::take_idle() {
  if (attempts_ > 0) return false;
  upstream_ = worker_.upstreams().take_idle(*cluster_, need());
  return bool(upstream_);
}

net::Task<void> Exchange::client_leaves() {
  co_await client_.stream.ended();
  client_left_ = has_left(client_);
  if (!client_left_)
    co_await std::suspend_always();  // It only half-closed, and still wants its answer.
}

void Exchange::begin_timeout() {
  if (timeout_.count()) due_ = std::chrono::steady_clock::now() + timeout_;
}

std::chrono::milliseconds Exchange::time_left() const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      due_ - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds(1));
}

net::Task<bool> Exchange::connect() {
  if (!timeout_.count()) {
    auto first = co_await net::when_any(open_upstream(), client_leaves());
    co_return first.index() == 0 && std::get<0>(first);
  }
  auto first = co_await net::when_any(open_upstream(), client_leaves(),
                                      net::sleep_for(worker_.loop(), time_left()));
  timed_out_ = first.index() == 2;
  co_return first.index() == 0 && std::get<0>(first);
}

// Connects, again on failures that another try can mend: Istio's default policy (connect-failure
// and the like, two retries, other hosts first). Nothing of the request has been sent yet.
net::Task<bool> Exchange::open_upstream() {
  for (int attempt = 0;; attempt++) {
    auto what = need();
    what.fresh = attempts_ > 0;
    what.avoid = &tried_;
    auto acquired = co_await worker_.upstreams().acquire(cluster_, what);
    if (acquired) {
      upstream_ = std::move(*acquired);
      failure_.reset();
      co_return true;
    }
    failure_ = acquired.error();
    if (!failure_->error.retryable || !retries_connects() || attempt + retried_ >= retry_.attempts)
      co_return false;
    if (!begin_retry()) co_return false;
    worker_.metrics().upstream_rq_retry.add();
    connect_retries_++;
    co_await net::sleep_for(worker_.loop(), backoff(retry_.backoff, attempt, worker_.random()));
  }
}

// What the upstream is told: of one try where tries have a time of their own, and never more than
// is left of the route's (Envoy's x-envoy-expected-rq-timeout-ms).
std::chrono::milliseconds Exchange::expected_time() const {
  const auto of_try = retry_.per_try_timeout;
  if (!timeout_.count()) return of_try;
  const auto left = attempts_ + connect_retries_ > 1 ? time_left() : timeout_;
  return of_try.count() ? std::min(of_try, left) : left;
}

// What a gateway says of the client, in the place of what the client says (gatewayTopology).
void Exchange::add_edge(http::RequestAdds& adds) const {
  const auto& topology = worker_.seen_snapshot()->mesh.default_config.gateway_topology;
  adds.scheme = record_.scheme;
  adds.forwarded_cert = client_.inbound->peer.forwarded_cert;
  adds.forward_client_cert = forwarding_of(topology.forward_client_cert);
  adds.edge = &edge_;
  if (!edited_request_) return;  // Made of what was admitted already.
  adds.edge = nullptr;
  adds.forward_client_cert = http::ForwardClientCert::always_forward_only;
}

http::RequestAdds Exchange::request_adds() const {
  http::RequestAdds adds;
  adds.request_id = record_.request_id;
  adds.upgrade = upgrade_;
  if (client_.of_gateway()) {
    add_edge(adds);
  } else if (client_.inbound) {
    adds.attempt = 0;  // the sender's: a try of ours is no matter of the application's
    adds.forwarded_cert = client_.inbound->peer.forwarded_cert;
    if (client_.inbound->mutual_tls) adds.scheme = "https";
    return adds;
  }
  adds.attempt = uint32_t(attempts_ + connect_retries_);
  adds.expected_timeout_ms = expected_time().count();
  return adds;
}

net::Task<void> Exchange::send_request() {
  attempts_++;
  failure_.reset();
  record_.upstream_host = upstream_.host;
  record_.upstream_local = upstream_.local;
  if (timeout_.count() || retry_.per_try_timeout.count()) set_try_deadline();
  std::string host;
  auto adds = request_adds();
  if (record_.authority.empty()) {  // HTTP/1.0 may come without; the upstream is spoken to in 1.1.
    host = cluster_->host.empty() ? client_.destination.text() : cluster_->host;
    adds.host = host;
  }
  auto& out = (*heads_).out;
  http::write_request(outgoing(), adds, out);
  record_.upstream_protocol = "HTTP/1.1";
  record_.attempts = uint32_t(attempts_ + connect_retries_);
  worker_.log().keep_request(record_, std::span<const iovec>(out.pieces.data(), out.count));
  keep_upstream_tls(worker_.log(), record_, upstream_.stream.ssl());
  principals_ = principals_of(worker_.standard_metrics(), upstream_.stream.ssl());
  begin_mirrors(out);
  // An upstream that closed its side may have answered before it did: the answer's reader finds
  // out.
  upstream_took_all_ = false;
  upstream_took_all_ = co_await upstream_.stream.write_all(with_body(out, at_hand_));
}

net::Task<Exchange::Answered> Exchange::pump_body() {
  body_pumped_ = true;
  BodyRate rate;
  while (!body_.over()) {
    client_.stream.set_deadline(limits::body_stall);
    const auto asked = worker_.loop().now();
    co_await client_.stream.ready(net::Want::read);  // A client that is slow holds no buffer.
    const auto waited = worker_.loop().now() - asked;
    const auto buffer = net::Buffers::take();
    const ssize_t count = co_await client_.stream.read({buffer.get(), net::Buffers::size});
    if (count <= 0) {
      const bool stalled =
          count < 0 && client_.stream.failure(Side::downstream).fault == Fault::timed_out;
      co_return stalled ? Answered::body_stalled : Answered::client_left;
    }
    const std::string_view bytes(buffer.get(), std::size_t(count));
    const auto mine = bytes.substr(0, body_.eat(bytes));
    if (body_.bad()) co_return Answered::body_malformed;
    if (!body_.is_chunked() && !rate.keeps_up(waited, mine.size()))
      co_return Answered::body_stalled;
    if (body_.over()) record_.request_us = wall_clock_us() - record_.start_us;
    pipelined_ = bytes.substr(mine.size());
    mirror_body(mine);
    if (!upstream_took_all_) break;
    upstream_took_all_ = false;
    upstream_took_all_ = co_await upstream_.stream.write_all(mine);
  }
  co_await std::suspend_always();  // The answer decides what comes next.
  co_return Answered::client_left;
}

void Exchange::set_try_deadline() {
  const auto each = retry_.per_try_timeout;
  auto time = timeout_.count() ? time_left() : each;
  if (each.count()) time = std::min(time, each);
  try_timer_.arm(time);
}

// An answer that has begun has all of the route's time (Envoy ignores the try's then).
void Exchange::end_try_deadline() {
  timeout_.count() ? try_timer_.arm(time_left()) : try_timer_.disarm();
}

bool Exchange::retriable_status() const {
  const int status = response_.status;
  const auto asks = [this](uint16_t flags) { return (retry_.on & flags) != 0; };
  if (status >= 500 && asks(mesh::retry_5xx)) return true;
  if (status >= 502 && status <= 504 && asks(mesh::retry_gateway_error)) return true;
  if (status == 409 && asks(mesh::retry_4xx)) return true;
  if (asks(mesh::retry_envoy_ratelimited) && !response_.find("x-envoy-ratelimited").empty())
    return true;
  const auto& codes = retry_.status_codes;
  return asks(mesh::retry_status_codes) &&
         std::find(codes.begin(), codes.end(), status) != codes.end();
}

// An answer that never came counts as a 5xx, as with Envoy.
bool Exchange::retries_connects() const {
  return retry_.on & (mesh::retry_connect_failure | mesh::retry_5xx);
}

bool Exchange::retries_resets() const {
  return retry_.on & (mesh::retry_reset | mesh::retry_5xx | mesh::retry_gateway_error);
}

bool Exchange::may_retry(Answered answered) {
  if (body_pumped_ || head_forwarded_) return false;
  // RFC 9112 section 9.3.1: a connection that had been idle may have been closed meanwhile.
  if (answered == Answered::nothing && upstream_.reused && attempts_ == 1 && retry_.attempts > 0 &&
      is_idempotent(record_.method))
    return true;
  if (retried_ + connect_retries_ >= retry_.attempts) return false;
  if (timeout_.count() && std::chrono::steady_clock::now() >= due_) return false;
  if (answered == Answered::retriable) return begin_retry();
  const bool reset = answered == Answered::nothing || answered == Answered::failed ||
                     answered == Answered::timed_out;
  return reset && retries_resets() && begin_retry();
}

net::Task<void> Exchange::back_off() {
  worker_.metrics().upstream_rq_retry.add();
  const bool stale = upstream_.reused && attempts_ == 1;
  tried_.push_back(upstream_.host);
  upstream_ = {};
  answer_.consume(answer_.bytes().size());
  if (stale && !(retry_.on & ~mesh::retry_connect_failure)) co_return;
  co_await net::sleep_for(worker_.loop(), backoff(retry_.backoff, retried_, worker_.random()));
  retried_++;
}

}  // namespace sallyport::proxy
