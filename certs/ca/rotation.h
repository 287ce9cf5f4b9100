// When an identity is renewed, and when a failed attempt is made again: pure arithmetic.
#pragma once
#include <chrono>
#include <cstdint>

namespace sallyport::ca {

struct RotationPolicy {
  // Istio's SECRET_GRACE_PERIOD_RATIO: the part of a certificate's life that is left when it is
  // renewed; SECRET_GRACE_PERIOD_RATIO_JITTER: renewed up to that part of its life later.
  double grace_ratio = 0.5, grace_jitter = 0.01;
};

// How long after it was obtained a certificate with `life` to go then is renewed. `random`: 0 to 1.
// A fleet that started together is spread; never before 1 - grace_ratio of its life is over, and
// never in its last twentieth.
std::chrono::milliseconds renew_after(std::chrono::milliseconds life, const RotationPolicy& policy,
                                      double random);

// The wait after the `failures`th failure in a row (from 1): 1 s doubling, as istio-agent's, with
// up to a quarter off, at most limits::identity_retry_max and a tenth of the certificate's life
// (zero: there is none), but a quarter of a second at least.
std::chrono::milliseconds retry_after(int failures, std::chrono::milliseconds life, double random);

}  // namespace sallyport::ca
