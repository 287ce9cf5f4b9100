// When certificates are renewed and failed attempts made again.
#include "certs/ca/rotation.h"

#include "agent/core/limits.h"

namespace sallyport::ca {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

struct RenewCase {
  const char* name;
  milliseconds life;
  RotationPolicy policy;
  double random;
  milliseconds expect;
};

const RenewCase renew_cases[] = {
    {"half of a day", 24h, {}, 0, 12h},
    {"and up to a hundredth of the life later", 24h, {}, 1, 12h + 14min + 24s},
    {"60 seconds", 60s, {}, 0.5, 30300ms},
    {"two seconds", 2s, {}, 0, 1s},
    {"a fifth left, spread over a tenth", 100s, {0.2, 0.1}, 0.5, 85s},
    {"never in the last twentieth", 100s, {0, 1}, 1, 95s},
    {"the whole life left: at once", 100s, {1, 0}, 0, 0s},
    {"no life left: at once", -5s, {}, 0.5, 0s},
};

TEST(Rotation, RenewsAtARandomPointPastHalfOfTheLife) {
  for (const auto& c : renew_cases)
    EXPECT_EQ(renew_after(c.life, c.policy, c.random), c.expect) << c.name;
}

struct RetryCase {
  const char* name;
  int failures;
  milliseconds life;
  double random;
  milliseconds expect;
};

const RetryCase retry_cases[] = {
    {"a second first", 1, 24h, 0, 1s},
    {"then twice that", 2, 24h, 0, 2s},
    {"and again", 5, 24h, 0, 16s},
    {"up to the limit", 40, 24h, 0, limits::identity_retry_max},
    {"spread over a quarter", 1, 24h, 1, 750ms},
    {"a tenth of a short life at most", 10, 60s, 0, 6s},
    {"never a storm", 3, 1s, 1, 250ms},
    {"without a certificate as with a long one", 3, 0s, 0, 4s},
};

TEST(Rotation, BacksOffAfterFailures) {
  for (const auto& c : retry_cases)
    EXPECT_EQ(retry_after(c.failures, c.life, c.random), c.expect) << c.name;
}

}  // namespace
}  // namespace sallyport::ca
