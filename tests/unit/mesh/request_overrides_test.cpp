// What a request's x-envoy-... fields change of its route's timeout and retries (Envoy's router).
#include "agent/mesh/request_overrides.h"

#include <gtest/gtest.h>

namespace sallyport::mesh {
namespace {

struct Case {
  const char* name;
  std::string fields;
  // Of a route with timeout 10s, perTryTimeout 2s, two retries on connect-failure.
  int64_t timeout_ms = 10'000, per_try_ms = 2'000;
  int attempts = 2;
  uint16_t on = retry_connect_failure;
  std::vector<uint16_t> status_codes = {};
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const Case cases[] = {
    {"nothing", "X-A: b\r\n"},
    {"another timeout", "x-envoy-upstream-rq-timeout-ms: 5000\r\n", 5'000},
    {"0: none at all", "X-Envoy-Upstream-Rq-Timeout-Ms: 0\r\n", 0},
    {"no number says nothing", "x-envoy-upstream-rq-timeout-ms: 5s\r\n"},
    {"more than a year is a year", "x-envoy-upstream-rq-timeout-ms: 18446744073709551615\r\n",
     int64_t{365} * 24 * 3'600'000},
    {"a number that overflows says nothing",
     "x-envoy-upstream-rq-timeout-ms: 18446744073709551616\r\n"},
    {"a try's", "x-envoy-upstream-rq-per-try-timeout-ms: 700\r\n", 10'000, 700},
    {"a try's that is no shorter than the whole is none",
     "x-envoy-upstream-rq-timeout-ms: 2000\r\n", 2'000, 0},
    {"further conditions", "x-envoy-retry-on: 5xx,reset,unheard-of\r\n", 10'000, 2'000, 2,
     retry_connect_failure | retry_5xx | retry_reset},
    {"a bare number is no condition", "x-envoy-retry-on: 503,99999\r\n"},
    {"more retries than may be", "x-envoy-max-retries: 4000000000\r\n", 10'000, 2'000,
     limits::request_retries},
    {"for a client inside", "X-Forwarded-For: 10.1.2.3\r\nx-envoy-upstream-rq-timeout-ms: 5000\r\n",
     5'000},
    {"not for one outside",
     "X-Forwarded-For: 198.51.100.7\r\nx-envoy-upstream-rq-timeout-ms: 5000\r\n"
     "x-envoy-max-retries: 9\r\n"},
    {"not for one that came by way of others",
     "X-Forwarded-For: 10.1.2.3, 10.1.2.4\r\nx-envoy-upstream-rq-timeout-ms: 5000\r\n"},
    {"not for one told twice",
     "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-For: 10.1.2.4\r\n"
     "x-envoy-upstream-rq-timeout-ms: 5000\r\n"},
    {"number of retries", "x-envoy-max-retries: 5\r\n", 10'000, 2'000, 5},
    {"no retries", "x-envoy-max-retries: 0\r\n", 10'000, 2'000, 0},
    {"status codes",
     "x-envoy-retry-on: retriable-status-codes\r\n"
     "x-envoy-retriable-status-codes: 500, 503,x\r\n",
     10'000,
     2'000,
     2,
     retry_connect_failure | retry_status_codes,
     {500, 503}},
};

Delivery delivery(const std::string& fields, const Route& route) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  http::Head head;
  EXPECT_EQ(http::parse_request(text, head), http::Parse::done);
  return delivery_of(route, &head);
}

class RequestOverrides : public testing::TestWithParam<Case> {};

TEST_P(RequestOverrides, OfTheRoute) {
  const Case& c = GetParam();
  Route route;
  route.timeout = std::chrono::milliseconds(10'000);
  route.retry.per_try_timeout = std::chrono::seconds(2);
  const auto [timeout, retry, timeout_status] = delivery(c.fields, route);
  EXPECT_EQ(timeout.count(), c.timeout_ms);
  EXPECT_EQ(retry.per_try_timeout.count(), c.per_try_ms);
  EXPECT_EQ(retry.attempts, c.attempts);
  EXPECT_EQ(retry.on, c.on);
  EXPECT_EQ(retry.status_codes, c.status_codes);
  EXPECT_EQ(timeout_status, 504);
}
INSTANTIATE_TEST_SUITE_P(Spec, RequestOverrides, testing::ValuesIn(cases));

TEST(RequestOverridesTimeoutStatus, Is204ForWhoAsksAndIsInside) {
  const std::string asks = "x-envoy-upstream-rq-timeout-alt-response:\r\n";
  EXPECT_EQ(delivery(asks, {}).timeout_status, 204);
  EXPECT_EQ(delivery("X-Forwarded-For: 198.51.100.7\r\n" + asks, {}).timeout_status, 504);
}

TEST(RequestOverridesOfARouteWithoutRetries, MeanOneRetryForAConditionThatIsKnown) {
  Route route;
  route.retry.attempts = 0;
  const auto retry = delivery("x-envoy-retry-on: 5xx\r\n", route).retry;
  EXPECT_EQ(retry.attempts, 1);
  EXPECT_EQ(retry.on, retry_5xx);
  EXPECT_EQ(delivery("x-envoy-retry-on: what\r\n", route).retry.attempts, 0);
  EXPECT_EQ(delivery("x-envoy-max-retries: 3\r\n", route).retry.attempts, 0);
}

}  // namespace
}  // namespace sallyport::mesh
