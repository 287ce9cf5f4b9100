// What a rule of a VirtualService does with its requests instead of, or on the way to, a
// destination: redirect, directResponse, rewrite, retries.
#include "agent/istio/http_fields.h"
#include "agent/istio/regex.h"

namespace sallyport::istio {
namespace {

constexpr Choice derived_ports[] = {{"FROM_PROTOCOL_DEFAULT", 1}, {"FROM_REQUEST_PORT", 2}};
constexpr int redirect_codes[] = {301, 302, 303, 307, 308};

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

bool is_retry_condition(std::string_view word) {
  for (const std::string_view known : retry_conditions) {
    if (word == known) return true;
  }
  const auto code = integer_value(word);
  return code && *code >= 100 && *code < 600;
}

void check_retry_on(const HttpRetry& retry, Fields& fields) {
  for (const std::string_view word : comma_separated(retry.retry_on)) {
    if (!is_retry_condition(word)) {
      fields.error("retryOn", quoted(word) + " is not a valid retryOn policy");
    }
  }
}

}  // namespace

HttpRedirect decode_redirect(Fields& fields) {
  HttpRedirect redirect;
  redirect.uri = fields.text("uri");
  redirect.authority = fields.text("authority");
  redirect.scheme = fields.text("scheme");
  redirect.prefix_rewrite = fields.text("prefixRewrite");
  redirect.port = fields.port("port");
  redirect.derive_port =
      HttpRedirect::DerivePort(fields.choice("derivePort", derived_ports).value_or(0));
  redirect.code = int(fields.integer("redirectCode", 0, INT32_MAX).value_or(0));
  if (redirect.code == 0) redirect.code = 301;
  const bool whole = redirect.uri.empty() && redirect.authority.empty() &&
                     redirect.scheme.empty() && redirect.prefix_rewrite.empty();
  if (whole && !redirect.port && redirect.derive_port == HttpRedirect::DerivePort::none) {
    fields.error("", "redirect must specify URI, authority, scheme, or port");
  }
  if (!redirect.uri.empty() && !redirect.prefix_rewrite.empty()) {
    fields.error("prefixRewrite", "only one of uri or prefixRewrite can be set");
  }
  if (fields.has("port") && fields.has("derivePort")) {
    fields.error("derivePort", "only one of port or derivePort can be set");
  }
  if (!redirect.scheme.empty() && redirect.scheme != "http" && redirect.scheme != "https") {
    fields.error("scheme", "invalid redirect scheme, must be http or https");
  }
  if (std::find(std::begin(redirect_codes), std::end(redirect_codes), redirect.code) ==
      std::end(redirect_codes)) {
    fields.error("redirectCode", std::to_string(redirect.code) +
                                     " is not a valid redirect code, must be 301, 302, 303, 307 "
                                     "or 308");
  }
  return redirect;
}

HttpDirectResponse decode_direct_response(Fields& fields) {
  constexpr std::size_t largest = 1024 * 1024, large = 100 * 1024;
  HttpDirectResponse response;
  response.status = int(fields.integer("status", 200, 599).value_or(0));
  if (!fields.has("status")) fields.error("status", "required");
  fields.object("body", [&](Fields& body) {
    if (body.has("string") && body.has("bytes")) {
      body.error("bytes", "only one of string or bytes can be set");
    }
    response.body = body.has("bytes") ? body.bytes("bytes") : body.text("string");
    const auto size = "response body size of " + std::to_string(response.body.size());
    if (response.body.size() > largest)
      body.error("", size + " bytes is greater than 1 MiB");
    else if (response.body.size() > large)
      body.warn("", size + " bytes: each proxy holds it");
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
    if (auto problem = regex_problem(rewrite.regex_match))
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

HttpRetry decode_retries(Fields& fields) {
  HttpRetry retry;
  retry.attempts = int(fields.integer("attempts", 0, INT32_MAX).value_or(0));
  retry.per_try_timeout = fields.duration("perTryTimeout");
  retry.backoff = fields.duration("backoff");
  retry.retry_on = fields.text("retryOn");
  retry.retry_remote_localities = fields.boolean("retryRemoteLocalities");
  retry.ignore_previous_hosts = fields.boolean("retryIgnorePreviousHosts");
  if (retry.ignore_previous_hosts == false || retry.retry_remote_localities == true)
    fields.unsupported({"retryIgnorePreviousHosts", "retryRemoteLocalities"});
  const bool set = retry.per_try_timeout || !retry.retry_on.empty() ||
                   retry.retry_remote_localities || retry.backoff;
  if (retry.attempts == 0 && set) {
    fields.error("attempts", "http retry policy configured when attempts are set to 0 (disabled)");
  }
  check_retry_on(retry, fields);
  return retry;
}

}  // namespace sallyport::istio
