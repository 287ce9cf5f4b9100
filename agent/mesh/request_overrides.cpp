#include "agent/mesh/request_overrides.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

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

}  // namespace

void override_delivery(const http::Head& request, std::chrono::milliseconds& timeout,
                       RetryPolicy& retry) {
  timeout = time(request, "x-envoy-upstream-rq-timeout-ms").value_or(timeout);
  retry.per_try_timeout =
      time(request, "x-envoy-upstream-rq-per-try-timeout-ms").value_or(retry.per_try_timeout);
  if (timeout.count() && retry.per_try_timeout >= timeout)
    retry.per_try_timeout = std::chrono::milliseconds(0);
  const auto retry_on = request.find("x-envoy-retry-on");
  if (!retry_on.empty()) {
    if (retry.attempts == 0) {  // the route has no retries: Envoy's default is one
      retry.on = 0;
      retry.attempts = 1;
    }
    add_retry_on(retry_on, retry);
  }
  add_status_codes(request.find("x-envoy-retriable-status-codes"), retry);
  const auto most = number(request.find("x-envoy-max-retries"));
  constexpr uint64_t int_max = std::numeric_limits<int>::max();
  if (most && retry.attempts > 0) retry.attempts = static_cast<int>(std::min(*most, int_max / 2));
}

}  // namespace sallyport::mesh
