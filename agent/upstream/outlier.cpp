#include "agent/upstream/outlier.h"

#include <algorithm>

namespace sallyport::upstream {
namespace {

constexpr std::chrono::seconds ejection_time_most{300};  // Envoy's max_ejection_time

}  // namespace

void OutlierDetector::answered(Endpoint& endpoint, int status, Clock::time_point now) {
  Health& health = *endpoint.health;
  health.local_failures = 0;
  if (status < 500) {
    health.errors_5xx = health.gateway_errors = 0;
    return;
  }
  if (status >= 502 && status <= 504) {
    count(endpoint, health.gateway_errors, policy_.consecutive_gateway, now);
  } else {
    health.gateway_errors = 0;
  }
  count(endpoint, health.errors_5xx, policy_.consecutive_5xx, now);
}

// Envoy takes it for a 503 or 504 unless it is to be counted apart.
void OutlierDetector::failed(Endpoint& endpoint, Clock::time_point now) {
  Health& health = *endpoint.health;
  if (policy_.split_local_origin) {
    return count(endpoint, health.local_failures, policy_.consecutive_local_origin, now);
  }
  answered(endpoint, 503, now);
}

void OutlierDetector::connected(Endpoint& endpoint) {
  Health& health = *endpoint.health;
  health.local_failures = 0;
  if (!policy_.split_local_origin) health.errors_5xx = health.gateway_errors = 0;
}

void OutlierDetector::count(Endpoint& endpoint, uint32_t& errors, uint32_t most,
                            Clock::time_point now) {
  if (endpoint.health->list != list_ || most == 0 || ++errors < most) return;
  errors = 0;
  eject(endpoint, now);
}

void OutlierDetector::eject(Endpoint& endpoint, Clock::time_point now) {
  Health& health = *endpoint.health;
  if (health.ejected) return;
  const bool may = ejected_ == 0 || (ejected_ + 1) * 100 <= policy_.max_ejection_percent * hosts_;
  if (!may) return;
  health.ejected = true;
  health.ejected_at = now;
  // No longer than the most: the number grows no further than that needs.
  const auto next = policy_.base_ejection_time * (health.ejections + 1);
  if (next < ejection_time_most + policy_.base_ejection_time) ++health.ejections;
  ++ejected_;
  ++changes_;
  metrics_.outlier_ejections.add();
}

void OutlierDetector::let_back(Endpoint& endpoint) {
  Health& health = *endpoint.health;
  health.ejected = false;
  health.errors_5xx = health.gateway_errors = health.local_failures = 0;
  --ejected_;
  ++changes_;
}

void OutlierDetector::follow(const Endpoints& endpoints, uint64_t list) {
  list_ = list;
  hosts_ = endpoints.size();
  ejected_ = 0;
  for (const auto& endpoint : endpoints) ejected_ += endpoint->health->ejected;
}

// An endpoint that behaves for an interval has one ejection less to its name.
void OutlierDetector::sweep(const Endpoints& endpoints, Clock::time_point now) {
  if (!due(now)) return;
  const auto passed =
      last_sweep_ == Clock::time_point() ? 0 : (now - last_sweep_) / policy_.interval;
  last_sweep_ = now;
  next_sweep_ = now + policy_.interval;
  for (const auto& endpoint : endpoints) {
    Health& health = *endpoint->health;
    if (!health.ejected) {
      health.ejections -=
          std::min(health.ejections, static_cast<uint32_t>(std::min<int64_t>(passed, UINT32_MAX)));
      continue;
    }
    const std::chrono::milliseconds time = policy_.base_ejection_time * health.ejections;
    const std::chrono::milliseconds most =
        std::max<std::chrono::milliseconds>(ejection_time_most, policy_.base_ejection_time);
    if (now - health.ejected_at >= std::min(time, most)) let_back(*endpoint);
  }
}

}  // namespace sallyport::upstream
