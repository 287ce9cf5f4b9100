// Exchange, first part: reading the request's head and deciding what becomes of it.
#include "agent/core/wall_clock.h"
#include "agent/http/local_reply.h"
#include "agent/http/message/normalize.h"
#include "agent/mesh/decide.h"
#include "agent/mesh/request_overrides.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

using http::Parse;

Parse Exchange::take_head() {
  if (!speaks_http()) return Parse::bad;  // Nothing of it is parsed.
  if (!client_.inbox.empty()) {
    const auto parsed = http::parse_request(client_.inbox.bytes(), request_);
    if (parsed != Parse::more) return parsed;
  }
  const auto room = client_.inbox.room();
  if (room.empty()) return Parse::more;
  const auto step = client_.stream.try_read(room);
  if (step.want != net::Want::nothing || step.bytes <= 0) return Parse::more;
  client_.inbox.filled(std::size_t(step.bytes));
  return http::parse_request(client_.inbox.bytes(), request_);
}

net::Task<Parse> Exchange::await_head() {
  auto parsed = Parse::more;
  client_.stream.set_deadline(limits::http_head_time);
  while (parsed == Parse::more && !client_.inbox.room().empty()) {
    if (co_await read_more(client_) <= 0) {
      // Half a head whose time is over is answered; one whose sender has gone is not.
      client_left_ = client_.stream.failure(Side::downstream).fault != Fault::timed_out;
      break;
    }
    parsed = http::parse_request(client_.inbox.bytes(), request_);
  }
  client_.stream.set_deadline(std::chrono::milliseconds(0));
  co_return parsed;
}

// Before any rule sees the path. False: it is refused.
bool Exchange::normalize_path() {
  using istio::PathNormalization;
  const auto mode = worker_.snapshot()->mesh.path_normalization;
  if (mode == PathNormalization::none) return true;
  const bool decodes = mode == PathNormalization::decode_and_merge_slashes;
  const http::PathRules rules{.resolve = true,
                              .merge_slashes = decodes || mode == PathNormalization::merge_slashes,
                              .decode_slashes = decodes};
  return http::normalize_path(request_, client_.inbox.front(), rules);
}

bool Exchange::speaks_http() const { return !client_.inbound || client_.inbound->speaks_http; }

// Outsiders learn as much as Envoy tells them, this pod's application what it did wrong; the log
// has it in each case.
Refusal Exchange::malformed(int status, std::string_view details, std::string_view why) {
  worker_.metrics().protocol_errors.add();
  if (why != details) record_.termination_details = why;
  std::string body(http::reason_phrase(status));
  if (status == 400 && !client_.of_gateway()) (body = "malformed request: ") += why;
  return {.status = status,
          .flags = observe::DPE,
          .details = details,
          .body = std::move(body),
          .close = true};
}

// TLS or HTTP/2 on a server of plain HTTP.
Refusal Exchange::refuse_other_protocol() {
  request_.count = 0;
  request_.minor = 1;
  const std::string& why = client_.inbound->instead_of_http;
  record_.downstream_failure_reason = why;
  return malformed(400, "http1.codec_error", why);
}

// What the log says of the connection that a request came on, also of one that can't be read.
void Exchange::describe_connection() {
  record_.start_us = wall_clock_us();
  record_.downstream_local = client_.dialled();
  record_.downstream_remote = client_.source();
  record_.downstream_direct_remote = client_.stream.peer();
  record_.connection_id = client_.id;
  record_.protocol = "HTTP/1.1";
  if (client_.inbound) describe_inbound();
}

// What can't be read is refused, and the connection with it (hardening.md).
std::optional<Refusal> Exchange::refuse_head(Parse parsed) {
  started_ = true;
  describe_connection();
  worker_.metrics().downstream_rq_total.add();
  worker_.metrics().downstream_rq_active.add();
  if (parsed == Parse::more) {
    request_.count = 0;
    return Refusal{.status = 408,
                   .flags = observe::DPE,
                   .details = "request_header_timeout",
                   .body = {},
                   .close = true};
  }
  if (!speaks_http()) return refuse_other_protocol();
  if (parsed == Parse::bad || !normalize_path())
    return malformed(request_.refuse_status, request_.refuse_reason, request_.refuse_reason);
  record_.method = request_.method();
  record_.path = request_.origin_path();
  if (request_.minor == 0) record_.protocol = "HTTP/1.0";
  record_.authority = request_.authority();
  record_.user_agent = request_.value_at(request_.user_agent);
  record_.forwarded_for = request_.value_at(request_.forwarded_for);
  if (const auto named = request_.last_forwarded_for(); named.is_set())
    record_.downstream_remote = SocketAddress(named, 0);
  record_.request_id = request_.value_at(request_.request_id);
  if (request_.request_id < 0) {
    worker_.request_ids().write(request_id_);
    record_.request_id = {request_id_, sizeof request_id_};
  }
  describe_sender();
  // For what is answered here; what goes upstream is kept as it goes out (send_request).
  worker_.log().keep_request(record_, std::string_view(request_.base, request_.size));
  return std::nullopt;
}

// Of upgrades only WebSocket; h2c is no upgrade at all (hardening.md), an unknown one is refused
// (istio-api.md 7).
std::optional<Refusal> Exchange::check_upgrade() {
  upgrade_ =
      request_.wants_upgrade && http::same_name(request_.value_at(request_.upgrade), "websocket");
  if (request_.wants_upgrade && !upgrade_)
    return Refusal{
        .status = 403, .flags = observe::no_flag, .details = "upgrade_failed", .body = {}};
  if (!upgrade_ || !(request_.chunked || request_.length > 0)) return std::nullopt;
  return malformed(400, "http1.codec_error", "an upgrade with a body");
}

std::optional<Refusal> Exchange::route() {
  if (auto refusal = check_upgrade()) return refusal;
  if (client_.of_gateway()) return route_gateway();
  if (client_.inbound) return route_inbound();
  const auto& config = worker_.snapshot();
  const mesh::RequestFacts facts{.authority = record_.authority,
                                 .path = record_.path,
                                 .method = record_.method,
                                 .head = &request_,
                                 .random = worker_.random()};
  const auto plan =
      mesh::decide_request(*config, client_.destination.port(), client_.destination, facts);
  if (!plan.route) {
    return Refusal{.status = 404, .flags = observe::NR, .details = "route_not_found", .body = {}};
  }
  const bool block_all = !plan.cluster && !plan.route->from;
  if (block_all) worker_.metrics().blackholed.add();
  if (block_all || (plan.cluster && *plan.cluster == config->passthrough)) learn_egress(block_all);
  follow(plan, mesh::delivery_of(*plan.route, &request_));
  return std::nullopt;
}

// What no resource names (--learn).
void Exchange::learn_egress(bool refused) {
  if (worker_.egress() == nullptr) return;
  worker_.egress()->record({.name = record_.authority,
                            .source = client_.stream.peer(),
                            .destination = client_.destination,
                            .protocol = observe::EgressProtocol::http,
                            .refused = refused},
                           record_.start_us);
}

// What the plan says is kept: the snapshot may go while the request is under way.
void Exchange::follow(const mesh::RequestPlan& plan, mesh::Delivery delivery) {
  route_name_ = plan.route->name;
  record_.route_name = route_name_;
  actions_ = plan.route->actions;
  direct_status_ = plan.status;
  if (plan.cluster) {
    cluster_ = *plan.cluster;
    record_.cluster = cluster_->name;
  }
  if (plan.destination) {
    missing_ = plan.destination->missing;
    destination_headers_ = plan.destination->headers;
    destination_authority_ = plan.destination->authority;
  }
  timeout_ = delivery.timeout;
  timeout_status_ = delivery.timeout_status;
  retry_ = std::move(delivery.retry);
}

// What no upstream answers: block_all, and a route to what does not exist.
std::optional<Refusal> Exchange::no_cluster() const {
  if (cluster_) return std::nullopt;
  if (!missing_.empty())
    return Refusal{.status = 503, .flags = observe::NC, .details = "cluster_not_found", .body = {}};
  return Refusal{.status = direct_status_,
                 .flags = observe::no_flag,
                 .details = "direct_response",
                 .body = {}};
}

std::optional<Refusal> Exchange::take_body_at_hand() {
  body_ = http::Body::of_request(request_);
  const auto behind = client_.inbox.bytes().substr(request_.size);
  at_hand_ = behind.substr(0, body_.eat(behind));
  if (body_.over()) record_.request_us = 0;
  if (!body_.bad()) return std::nullopt;
  return malformed(400, "http1.codec_error", "chunk framing");
}

}  // namespace sallyport::proxy
