// What a route does beside choosing a cluster, in words.
#include <cstdio>

#include "agent/mesh/explain.h"
#include "agent/mesh/request_overrides.h"

namespace sallyport::mesh {
namespace {

std::string text_of_conditions(const RetryPolicy& retry) {
  struct Name {
    uint16_t flag;
    const char* text;
  };
  constexpr Name names[] = {{retry_connect_failure, "connect-failure"},
                            {retry_reset, "reset"},
                            {retry_reset_before_request, "reset-before-request"},
                            {retry_5xx, "5xx"},
                            {retry_gateway_error, "gateway-error"},
                            {retry_4xx, "retriable-4xx"},
                            {retry_status_codes, "retriable-status-codes"},
                            {retry_envoy_ratelimited, "envoy-ratelimited"}};
  std::string out;
  for (const auto& name : names) {
    if (retry.on & name.flag) out += (out.empty() ? "" : ", ") + std::string(name.text);
  }
  for (const auto code : retry.status_codes) out += " " + std::to_string(code);
  return out.empty() ? "nothing" : out;
}

std::string percent(uint32_t millionths) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%%", millionths / 10'000.0);
  return text;
}

void add_actions(const RouteActions& actions, std::vector<std::string>& notes) {
  for (const auto& mirror : actions.mirrors) {
    notes.push_back("mirror: copies of " + percent(mirror.share) + " of the requests go to " +
                    mirror.cluster->name + "; their answers are not waited for");
  }
  if (const auto& rewrite = actions.rewrite) {
    std::vector<std::string> parts;
    if (!rewrite->authority.empty()) parts.push_back("authority becomes " + rewrite->authority);
    if (!rewrite->path.empty()) {
      parts.push_back(
          (rewrite->whole_path ? "path" : "prefix " + rewrite->matched_prefix + " of the path") +
          " becomes " + rewrite->path);
    }
    if (rewrite->regex) parts.push_back("path by regex " + rewrite->regex_text);
    std::string text = "rewrite: ";
    for (const auto& part : parts) text += (&part == parts.data() ? "" : ", ") + part;
    notes.push_back(std::move(text));
  }
  if (const auto& fault = actions.fault) {
    if (fault->delay_share > 0) {
      notes.push_back("fault: " + percent(fault->delay_share) + " of the requests wait " +
                      duration_text(fault->delay));
    }
    if (fault->abort_share > 0) {
      notes.push_back("fault: " + percent(fault->abort_share) + " of the requests are answered " +
                      std::to_string(fault->abort_status));
    }
  }
}

}  // namespace

ExplainedStep explain_policy(const Route& route, const http::Head* request) {
  ExplainedStep step{"retries", "", "", {}};
  if (route.from) {
    ResourceRef at = *route.from;
    if (route.line > 0) at.line = route.line;
    step.from = at.text();
  }
  const auto [timeout, retry, timeout_status] = delivery_of(route, request);
  if (retry != route.retry || timeout != route.timeout || timeout_status != 504)
    step.notes.push_back("the request's own x-envoy-... fields count, not the route's values");
  if (retry.attempts > 0) {
    step.text =
        "at most " + std::to_string(retry.attempts) + " more tries on " + text_of_conditions(retry);
    if (retry.per_try_timeout.count() > 0) {
      step.text += ", each within " + duration_text(retry.per_try_timeout);
    }
  } else {
    step.text = "none";
  }
  step.text += timeout.count() > 0 ? "; an answer within " + duration_text(timeout)
                                   : std::string("; no timeout");
  if (route.actions) add_actions(*route.actions, step.notes);
  return step;
}

}  // namespace sallyport::mesh
