// What a rule of a VirtualService does with its requests instead of, or on the way to, a
// destination: redirect, directResponse, rewrite, retries.
#include "agent/istio/http_fields.h"
#include "agent/istio/regex.h"

namespace sallyport::istio {
namespace {

constexpr Choice derived_ports[] = {{"FROM_PROTOCOL_DEFAULT", 1}, {"FROM_REQUEST_PORT", 2}};

// Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on.
constexpr std::string_view retry_conditions[] = {"5xx",
                                                 "gateway-error",
                                                 "reset",
                                                 "reset-before-request",
                                                 "connect-failure",
                                                 "retriable-4xx",
                                                 "refused-stream",
                                                 "retriable-status-codes",
                                                 "retriable-headers",
                                                 "envoy-ratelimited",
                                                 "http3-post-connect-failure",
                                                 "cancelled",
                                                 "deadline-exceeded",
                                                 "internal",
                                                 "resource-exhausted",
                                                 "unavailable"};

// From ... to: those that Go's net/http has a text for, which is what Istio asks.
constexpr std::pair<int, int> known_statuses[] = {{100, 103}, {200, 208}, {226, 226}, {300, 305},
                                                  {307, 308}, {400, 418}, {421, 426}, {428, 429},
                                                  {431, 431}, {451, 451}, {500, 508}, {510, 511}};

bool is_retry_condition(std::string_view word) {
  for (const std::string_view known : retry_conditions) {
    if (word == known) return true;
  }
  if (word.size() != 3 || word.find_first_not_of("0123456789") != word.npos) return false;
  const auto code = integer_value(word).value_or(0);
  return std::any_of(std::begin(known_statuses), std::end(known_statuses), [&](const auto& range) {
    return code >= range.first && code <= range.second;
  });
}

// Istio takes neither blanks nor an empty part between the commas.
void check_retry_on(const HttpRetry& retry, Fields& fields) {
  std::string_view left = retry.retry_on;
  for (bool more = !left.empty(); more;) {
    const std::size_t comma = std::min(left.find(','), left.size());
    const std::string_view word = left.substr(0, comma);
    if (!is_retry_condition(word)) {
      fields.error("retryOn", quoted(word) + " is not a valid retryOn policy");
    }
    more = comma < left.size();
    left.remove_prefix(std::min(comma + 1, left.size()));
  }
}

}  // namespace

bool is_redirect_code(int code) {
  constexpr int codes[] = {301, 302, 303, 307, 308};
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

int decode_status(Fields& fields, std::string_view name) {
  const auto status = int(fields.integer(name, 200, 600).value_or(0));
  if (status != 600) return status;
  fields.warn(name, "Envoy refuses 600, and with it all routes of the port: 503 is answered");
  return 503;
}

HttpRedirect decode_redirect(Fields& fields) {
  HttpRedirect redirect;
  redirect.uri = fields.text("uri");
  redirect.authority = fields.text("authority");
  redirect.scheme = fields.text("scheme");
  redirect.prefix_rewrite = fields.text("prefixRewrite");
  redirect.port = fields.optional_port("port");
  redirect.derive_port =
      HttpRedirect::DerivePort(fields.choice("derivePort", derived_ports).value_or(0));
  redirect.code = int(fields.integer("redirectCode", 0, INT32_MAX).value_or(0));
  if (redirect.code == 0) redirect.code = 301;
  const bool whole = redirect.uri.empty() && redirect.authority.empty() &&
                     redirect.scheme.empty() && redirect.prefix_rewrite.empty();
  if (whole && !fields.has("port") && !fields.has("derivePort")) {
    fields.error("", "redirect must specify URI, authority, scheme, or port");
  }
  if (!redirect.uri.empty() && !redirect.prefix_rewrite.empty()) {
    fields.error("prefixRewrite", "redirect may only specify one of uri or prefix_rewrite");
  }
  if (fields.has("port") && fields.has("derivePort")) {
    fields.error("derivePort", "only one of port or derivePort can be set");
  }
  if (!redirect.scheme.empty() && redirect.scheme != "http" && redirect.scheme != "https") {
    fields.error("scheme", "invalid redirect scheme, must be http or https");
  }
  if (redirect.code < 300 || redirect.code > 399) {
    fields.error("redirectCode",
                 std::to_string(redirect.code) + " is not a valid redirect code, must be 3xx");
  } else if (!is_redirect_code(redirect.code)) {
    fields.warn("redirectCode", "Redirect Code " + std::to_string(redirect.code) +
                                    " is not yet supported (301, 302, 303, 307 and 308 are): "
                                    "requests are answered 503");
  }
  return redirect;
}

HttpDirectResponse decode_direct_response(Fields& fields) {
  constexpr std::size_t largest = 1024 * 1024, large = 100 * 1024;
  HttpDirectResponse response;
  response.status = decode_status(fields, "status");
  if (!fields.has("status")) fields.error("status", "required");
  fields.object("body", [&](Fields& body) {
    if (body.has("string") && body.has("bytes")) {
      body.error("bytes", "only one of string or bytes can be set");
    }
    response.body = body.has("bytes") ? body.bytes("bytes") : body.text("string");
    const auto size = std::to_string(response.body.size()) + " bytes";
    if (response.body.size() > largest)
      body.error("",
                 "large direct_responses may impact control plane performance, must be less "
                 "than 1MB: " +
                     size);
    else if (response.body.size() > large)
      body.warn("", "large direct_responses may impact control plane performance: " + size);
  });
  return response;
}

HttpRewrite decode_rewrite(Fields& fields) {
  HttpRewrite rewrite;
  rewrite.uri = fields.text("uri");
  rewrite.authority = fields.text("authority");
  const bool regex = fields.object("uriRegexRewrite", [&](Fields& block) {
    rewrite.regex_match = block.text("match");
    rewrite.regex_rewrite = block.text("rewrite");
    if (rewrite.regex_match.empty() || rewrite.regex_rewrite.empty())
      block.error("", "UriRegexRewrite requires both Rewrite and Match fields to be specified");
    else if (auto problem = regex_problem(rewrite.regex_match))
      block.error("match", *problem);
    else if (auto wrong = rewrite_problem(rewrite.regex_match, rewrite.regex_rewrite))
      block.error("rewrite", *wrong);
  });
  if (regex && !rewrite.uri.empty()) {
    fields.error("uriRegexRewrite", "rewrite may only contain one of URI or UriRegexRewrite");
  }
  if (!regex && rewrite.uri.empty() && rewrite.authority.empty()) {
    fields.error("", "rewrite must specify at least one of URI, UriRegexRewrite or authority");
  }
  return rewrite;
}

HttpRetry decode_default_retries(Fields& fields) {
  HttpRetry retry;
  retry.attempts = int(fields.integer("attempts", 0, INT32_MAX).value_or(0));
  retry.per_try_timeout = fields.duration("perTryTimeout");
  retry.backoff = fields.duration("backoff");
  retry.retry_on = fields.text("retryOn");
  retry.retry_remote_localities = fields.boolean("retryRemoteLocalities");
  retry.ignore_previous_hosts = fields.boolean("retryIgnorePreviousHosts");
  if (retry.ignore_previous_hosts == false || retry.retry_remote_localities == true)
    fields.unsupported({"retryIgnorePreviousHosts", "retryRemoteLocalities"});
  check_retry_on(retry, fields);
  return retry;
}

HttpRetry decode_retries(Fields& fields) {
  auto retry = decode_default_retries(fields);
  const bool set =
      retry.per_try_timeout || !retry.retry_on.empty() || retry.retry_remote_localities;
  if (retry.attempts == 0 && set) {
    fields.error("attempts", "http retry policy configured when attempts are set to 0 (disabled)");
  }
  return retry;
}

}  // namespace sallyport::istio
