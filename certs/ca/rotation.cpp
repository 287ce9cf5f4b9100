#include "certs/ca/rotation.h"

#include <algorithm>
#include <cmath>

#include "agent/core/limits.h"

namespace sallyport::ca {

using std::chrono::milliseconds;

milliseconds renew_after(milliseconds life, const RotationPolicy& policy, double random) {
  constexpr double last_part = 0.95;
  const double part = 1 - policy.grace_ratio + policy.grace_jitter * random;
  const double at = std::clamp(part, 0.0, last_part) * static_cast<double>(life.count());
  return milliseconds(std::max<int64_t>(0, std::llround(at)));
}

milliseconds retry_after(int failures, milliseconds life, double random) {
  constexpr milliseconds first{1000}, least{250};
  constexpr int doublings_max = 16;
  const auto doubled = first * (int64_t{1} << std::clamp(failures - 1, 0, doublings_max));
  auto wait = std::min<milliseconds>(doubled, limits::identity_retry_max);
  if (life > milliseconds::zero()) wait = std::min(wait, life / 10);
  const double jittered = static_cast<double>(wait.count()) * (1 - random / 4);
  return std::max(least, milliseconds(std::llround(jittered)));
}

}  // namespace sallyport::ca
