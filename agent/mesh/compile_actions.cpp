#include "agent/mesh/compile_actions.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::mesh {
namespace {

using Kind = istio::StringMatch::Kind;

struct Condition {
  std::string_view name;
  uint16_t flag;
};
// Conditions of HTTP/2 and gRPC alone (refused-stream, unavailable, ...) have no bit: they can't
// happen over HTTP/1.
constexpr Condition retry_conditions[] = {{"connect-failure", retry_connect_failure},
                                          {"reset", retry_reset},
                                          {"reset-before-request", retry_reset_before_request},
                                          {"5xx", retry_5xx},
                                          {"gateway-error", retry_gateway_error},
                                          {"retriable-4xx", retry_4xx},
                                          {"retriable-status-codes", retry_status_codes},
                                          {"envoy-ratelimited", retry_envoy_ratelimited}};

bool is_authority(const std::string& name) {
  const auto lower = istio::lower_case(name);
  return lower == "host" || lower == ":authority";
}

std::vector<NamedMatch> named(const istio::StringMatches& matches, bool headers) {
  std::vector<NamedMatch> out;
  for (const auto& [name, match] : matches) {
    NamedMatch one{name, compile_match(match, headers)};
    const bool star = match.kind == Kind::regex && match.value == "*";
    if (star) one.match = {{Kind::present, ""}, {}};
    out.push_back(std::move(one));
  }
  return out;
}

std::optional<TextMatch> optional_match(const std::optional<istio::StringMatch>& match) {
  if (!match || match->kind == Kind::present) return std::nullopt;
  return compile_match(*match);
}

std::string prefix_of(const istio::HttpMatch* match) {
  if (!match || !match->uri || match->uri->kind != Kind::prefix) return "/";
  return match->uri->value;
}

Redirect compile_redirect(const istio::HttpRedirect& from, const istio::HttpMatch* match) {
  Redirect out;
  out.code = from.code;
  out.authority = from.authority;
  out.scheme = from.scheme;
  out.path = from.uri;
  out.prefix_rewrite = from.prefix_rewrite;
  out.matched_prefix = prefix_of(match);
  out.port = from.port;
  out.derive_request_port = from.derive_port == istio::HttpRedirect::DerivePort::from_request_port;
  return out;
}

Rewrite compile_rewrite(const istio::HttpRewrite& from, const istio::HttpMatch* match) {
  Rewrite out;
  out.authority = from.authority;
  out.path = from.uri;
  out.whole_path = match && match->uri && match->uri->kind != Kind::prefix;
  out.matched_prefix = prefix_of(match);
  if (from.regex_match.empty()) return out;
  out.regex.emplace(from.regex_match);
  out.regex_text = from.regex_match;
  out.substitution = from.regex_rewrite;
  return out;
}

FaultInjection compile_fault(const istio::HttpFault& from) {
  FaultInjection out;
  if (from.delay) {
    out.delay = from.delay->time;
    out.delay_share = share(from.delay->percent);
  }
  if (from.abort) {
    out.abort_status = from.abort->http_status;
    out.grpc_status = from.abort->grpc_status;
    out.abort_share = share(from.abort->percent);
  }
  return out;
}

std::string with_commas(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) (out += out.empty() ? "" : ",") += word;
  return out;
}

Cors compile_cors(const istio::CorsPolicy& from) {
  Cors out;
  for (const auto& origin : from.allow_origins) {
    const bool any = origin.value == "*";
    out.origins.push_back(any ? TextMatch{{Kind::present, ""}, {}} : compile_match(origin));
  }
  out.methods = with_commas(from.allow_methods);
  out.headers = with_commas(from.allow_headers);
  out.exposed = with_commas(from.expose_headers);
  if (from.max_age) out.max_age = std::to_string(from.max_age->count() / 1000);
  out.credentials = from.allow_credentials.value_or(false);
  out.forward_unmatched = from.forward_unmatched_preflights;
  return out;
}

}  // namespace

TextMatch compile_match(const istio::StringMatch& match, bool of_header) {
  if (of_header && match.kind != Kind::regex && match.value.empty())
    return {{Kind::present, ""}, {}};
  TextMatch out{match, {}};
  if (match.kind == Kind::regex && match.value != "*") out.regex.emplace(match.value);
  return out;
}

std::shared_ptr<const RouteMatch> compile_match(const istio::HttpMatch* match) {
  if (!match) return nullptr;
  RouteMatch out;
  out.path = optional_match(match->uri);
  out.scheme = optional_match(match->scheme);
  out.method = optional_match(match->method);
  out.authority = optional_match(match->authority);
  out.ignore_path_case = match->ignore_uri_case;
  out.headers = named(match->headers, true);
  out.without_headers = named(match->without_headers, true);
  out.query = named(match->query_params, false);
  if (out == RouteMatch{}) return nullptr;
  return std::make_shared<const RouteMatch>(std::move(out));
}

void add_retry_conditions(std::string_view text, RetryPolicy& out) {
  for (const auto word : istio::comma_separated(text)) {
    for (const auto& [name, flag] : retry_conditions) {
      if (name == word) out.on |= flag;
    }
  }
}

namespace {

// Istio's retryOn has status codes among Envoy's conditions.
void add_retry_on(std::string_view text, RetryPolicy& out) {
  add_retry_conditions(text, out);
  for (const auto word : istio::comma_separated(text)) {
    uint16_t code = 0;
    const auto* const end = word.data() + word.size();
    const auto [at, error] = std::from_chars(word.data(), end, code);
    if (error != std::errc() || at != end) continue;
    out.status_codes.push_back(code);
    out.on |= retry_status_codes;
  }
}

}  // namespace

RetryPolicy compile_retry(const istio::HttpRetry* retries) {
  RetryPolicy out;
  if (!retries) return out;
  out.attempts = retries->attempts;
  if (out.attempts == 0) out.on = 0;
  out.per_try_timeout = retries->per_try_timeout.value_or(out.per_try_timeout);
  out.backoff = retries->backoff.value_or(out.backoff);
  if (retries->retry_on.empty() || out.attempts == 0) return out;
  out.on = 0;
  add_retry_on(retries->retry_on, out);
  return out;
}

RetryPolicy compile_retry(const istio::HttpRoute& rule, const istio::HttpRetry* of_mesh) {
  RetryPolicy out;
  out.attempts = out.on = 0;
  if (rule.fault) return out;  // 3.6: a rule with a fault is not retried
  return compile_retry(rule.retries ? &*rule.retries : of_mesh);
}

std::string take_authority(istio::Headers& headers) {
  std::string authority;
  for (auto* list : {&headers.request.set, &headers.request.add}) {
    std::erase_if(*list, [&](const auto& header) {
      if (!is_authority(header.first)) return false;
      authority = header.second;
      return true;
    });
  }
  return authority;
}

uint32_t share(double percent) { return static_cast<uint32_t>(std::lround(percent * 10'000)); }

std::shared_ptr<const RouteActions> compile_actions(const istio::HttpRoute& rule,
                                                    const istio::HttpMatch* match,
                                                    std::vector<Mirror> mirrors) {
  RouteActions out;
  out.headers = rule.headers;
  const auto authority = take_authority(out.headers);
  if (rule.redirect) out.redirect = compile_redirect(*rule.redirect, match);
  if (rule.direct_response) out.direct_body = rule.direct_response->body;
  if (rule.rewrite) out.rewrite = compile_rewrite(*rule.rewrite, match);
  if (!authority.empty()) {
    if (!out.rewrite) out.rewrite.emplace();
    out.rewrite->authority = authority;
  }
  if (rule.fault) out.fault = compile_fault(*rule.fault);
  if (rule.cors) out.cors = compile_cors(*rule.cors);
  out.mirrors = std::move(mirrors);
  if (out == RouteActions{}) return nullptr;
  return std::make_shared<const RouteActions>(std::move(out));
}

}  // namespace sallyport::mesh
