#include "agent/mesh/request_overrides.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/core/address.h"
#include "agent/core/limits.h"
#include "agent/istio/scalar.h"
#include "agent/mesh/compile_actions.h"

namespace sallyport::mesh {
namespace {

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return !text.empty() && error == std::errc() && at == end ? std::optional(value) : std::nullopt;
}

std::optional<std::chrono::milliseconds> time(const http::Head& request, std::string_view name) {
  constexpr uint64_t longest = std::chrono::milliseconds(std::chrono::hours(24 * 365)).count();
  const auto value = number(request.find(name));
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(std::min(*value, longest)));
}

void add_status_codes(std::string_view text, RetryPolicy& out) {
  for (const auto word : istio::comma_separated(text)) {
    const auto code = number(word);
    if (code && *code < 1000) out.status_codes.push_back(static_cast<uint16_t>(*code));
  }
}

// Envoy's idea of an internal address (RFC 1918, RFC 4193, loopback).
bool is_internal(const IpAddress& ip) {
  static const Cidr blocks[] = {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("172.16.0.0/12"),
                                *Cidr::parse("192.168.0.0/16"), *Cidr::parse("fd00::/8")};
  return ip.is_loopback() || std::any_of(std::begin(blocks), std::end(blocks),
                                         [&](const Cidr& block) { return block.contains(ip); });
}

bool is_internal(const http::Head& request) {
  const auto is_forwarded_for = [&](const http::Field& field) {
    return http::same_name(request.name(field), "x-forwarded-for");
  };
  const auto* const end = request.fields.data() + request.count;
  const auto many = std::count_if(request.fields.data(), end, is_forwarded_for);
  if (many == 0) return true;
  const auto ip = IpAddress::parse(request.find("x-forwarded-for"));
  return many == 1 && ip && is_internal(*ip);
}

// Conditions of its own give a route without retries one, as Envoy's default is.
void override_retries(const http::Head& request, RetryPolicy& retry) {
  RetryPolicy asked = retry;
  if (retry.attempts == 0) asked.on = 0;
  add_retry_conditions(request.find("x-envoy-retry-on"), asked);
  if (retry.attempts == 0 && asked.on == 0) return;
  if (retry.attempts == 0) asked.attempts = 1;
  add_status_codes(request.find("x-envoy-retriable-status-codes"), asked);
  constexpr uint64_t most = limits::request_retries;
  if (const auto wanted = number(request.find("x-envoy-max-retries")))
    asked.attempts = static_cast<int>(std::min(*wanted, most));
  retry = std::move(asked);
}

}  // namespace

Delivery delivery_of(const Route& route, const http::Head* request) {
  Delivery out{route.timeout, route.retry};
  if (!request || !request->asks_envoy || !is_internal(*request)) return out;
  out.timeout = time(*request, "x-envoy-upstream-rq-timeout-ms").value_or(out.timeout);
  auto& of_try = out.retry.per_try_timeout;
  of_try = time(*request, "x-envoy-upstream-rq-per-try-timeout-ms").value_or(of_try);
  if (out.timeout.count() && of_try >= out.timeout) of_try = std::chrono::milliseconds(0);
  override_retries(*request, out.retry);
  if (request->has("x-envoy-upstream-rq-timeout-alt-response")) out.timeout_status = 204;
  return out;
}

}  // namespace sallyport::mesh
