// Exchange, between routing and sending: what a VirtualService's rule does with a request besides
// choosing where it goes. In Envoy's order: cors, fault, then redirect, answer or rewriting.
#include <algorithm>

#include "agent/mesh/match.h"
#include "agent/net/timers.h"
#include "agent/proxy/edits.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

constexpr uint32_t million = 1'000'000;

Refusal cors_answer() {
  return {.status = 200, .flags = observe::no_flag, .details = "cors_response", .body = {}};
}

}  // namespace

net::Task<std::optional<Refusal>> Exchange::act() {
  if (auto answer = preflight()) co_return answer;
  const auto* fault = actions_ && actions_->fault ? &*actions_->fault : nullptr;
  if (fault && fault->delay.count() && worker_.random() % million < fault->delay_share) {
    record_.flags |= observe::DI;
    co_await net::sleep_for(worker_.loop(), fault->delay);
  }
  if (auto aborted = inject_abort()) co_return aborted;
  if (auto answer = direct_answer()) co_return answer;
  co_return cluster_ ? edit_request() : std::nullopt;
}

bool Exchange::origin_allowed() const {
  const auto origin = request_.find("origin");
  const auto& allowed = actions_->cors->origins;
  return !origin.empty() && std::any_of(allowed.begin(), allowed.end(), [&](const auto& match) {
    return mesh::matches(match, origin);
  });
}

// A preflight of an allowed origin is answered here; one of another goes upstream, unless the
// policy ignores it (measured; istio-api.md 7).
std::optional<Refusal> Exchange::preflight() {
  if (!actions_ || !actions_->cors || request_.find("origin").empty()) return std::nullopt;
  const auto& policy = *actions_->cors;
  const bool asks =
      record_.method == "OPTIONS" && !request_.find("access-control-request-method").empty();
  if (!origin_allowed()) {
    if (!asks || policy.forward_unmatched) return std::nullopt;
    return cors_answer();
  }
  const auto set = [this](std::string_view name, std::string_view value) {
    if (!value.empty()) own_fields_.set.emplace_back(name, value);
  };
  set("access-control-allow-origin", request_.find("origin"));
  if (policy.credentials) set("access-control-allow-credentials", "true");
  if (!asks) {
    set("access-control-expose-headers", policy.exposed);
    return std::nullopt;
  }
  set("access-control-allow-methods", policy.methods);
  set("access-control-allow-headers", policy.headers);
  set("access-control-max-age", policy.max_age);
  auto answer = cors_answer();
  answer.fields = response_fields();
  return answer;
}

std::optional<Refusal> Exchange::inject_abort() const {
  if (!actions_ || !actions_->fault) return std::nullopt;
  const auto& fault = *actions_->fault;
  if (!fault.abort_status || worker_.random() % million >= fault.abort_share) return std::nullopt;
  Refusal refusal{.status = fault.abort_status,
                  .flags = observe::FI,
                  .details = "fault_filter_abort",
                  .body = "fault filter abort"};
  if (fault.grpc_status >= 0)
    refusal.fields = "grpc-status: " + std::to_string(fault.grpc_status) + "\r\n";
  return refusal;
}

std::optional<Refusal> Exchange::direct_answer() {
  if (cluster_ || !missing_.empty() || !actions_) return std::nullopt;
  Refusal answer{.status = direct_status_,
                 .flags = observe::no_flag,
                 .details = "direct_response",
                 .body = actions_->direct_body};
  if (actions_->redirect) {
    const bool of_gateway = client_.of_gateway();
    answer.location = redirect_location(*actions_->redirect, of_gateway ? record_.scheme : "http",
                                        record_.authority, record_.path);
  }
  answer.fields = response_fields();
  return answer;
}

TextOf Exchange::text_of(bool with_response) {
  return [this, with_response](const std::string& value) {
    const auto& head = seen();
    HeaderValues::Facts facts{.request = {head.base, head.size}};
    if (with_response) facts.response = {response_.base, response_.size};
    if (with_response) facts.upstream = upstream_.stream.ssl();
    return worker_.header_values().text_of(value, record_, facts);
  };
}

// The request as the rule wants it sent: it is written anew and read like one that came.
std::optional<Refusal> Exchange::edit_request() {
  if (auto refusal = admit()) return refusal;
  RequestEdits edits;
  if (actions_ && actions_->rewrite) {
    edits.path = rewritten_path(*actions_->rewrite, record_.path);
    edits.authority = actions_->rewrite->authority;
  }
  if (!destination_authority_.empty()) edits.authority = destination_authority_;
  const istio::HeaderOperations* const operations[] = {
      actions_ ? &actions_->headers.request : nullptr,
      destination_headers_ ? &destination_headers_->request : nullptr};
  edited_request_ = std::make_unique<EditedHead>();
  auto& edited = *edited_request_;
  edited.text = proxy::edited_request(seen(), edits, operations, text_of(false));
  if (http::parse_composed_request(edited.text, edited.head) == http::Parse::done) {
    record_.authority = edited.head.authority();
    if (edited.head.origin_path() != record_.path)
      record_.rewritten_path = edited.head.origin_path();
    return std::nullopt;
  }
  edited_request_.reset();
  return Refusal{.status = 500,
                 .flags = observe::no_flag,
                 .details = "request_rewrite_failed",
                 .body = "the route's rewrite does not give a valid request"};
}

std::array<const istio::HeaderOperations*, 3> Exchange::response_operations() const {
  return {actions_ ? &actions_->headers.response : nullptr,
          destination_headers_ ? &destination_headers_->response : nullptr, &own_fields_};
}

std::string Exchange::response_fields() { return fields_of(response_operations(), text_of(false)); }

bool Exchange::edits_response() const {
  for (const auto* one : response_operations()) {
    if (one && !one->empty()) return true;
  }
  return false;
}

// False: the operations make no valid answer of it.
bool Exchange::edit_response() {
  edited_response_ = std::make_unique<EditedHead>();
  edited_response_->text = edited_response(response_, response_operations(), text_of(true));
  return http::parse_composed_response(edited_response_->text, edited_response_->head) ==
         http::Parse::done;
}

}  // namespace sallyport::proxy
