// Outlier detection of one cluster on one worker: endpoints that fail so many times in a row are
// ejected for a while, longer each time (istio-api.md 3.6; Envoy's outlier_detection_impl.cc).
//
// Threading: its worker's; each worker counts what it sees itself. No timers: an ejection ends when
// sweep() is called after its time, at most once an interval.
#pragma once
#include <cstdint>

#include "agent/mesh/load_policy.h"
#include "agent/observe/metrics.h"
#include "agent/upstream/balancer.h"

namespace sallyport::upstream {

class OutlierDetector {
public:
  OutlierDetector(const mesh::OutlierPolicy& policy, observe::WorkerMetrics& metrics)
      : policy_(policy), metrics_(metrics) {}
  OutlierDetector(const OutlierDetector&) = delete;

  // What a request ended in; of no account where the endpoint has left the list meanwhile.
  // REQUIRES: endpoint.health is not null.
  void answered(Endpoint& endpoint, int status, Clock::time_point now);
  void failed(Endpoint& endpoint, Clock::time_point now);  // no connection, or no answer on it
  void connected(Endpoint& endpoint);                      // opaque bytes: all that can be told

  // The endpoints are others than before; their Health::list is `list`.
  void follow(const Endpoints& endpoints, uint64_t list);
  bool due(Clock::time_point now) const { return now >= next_sweep_; }
  void sweep(const Endpoints& endpoints, Clock::time_point now);  // if due
  uint64_t changes() const { return changes_; }  // grows with each endpoint ejected or let back

private:
  void count(Endpoint& endpoint, uint32_t& errors, uint32_t most, Clock::time_point now);
  void eject(Endpoint& endpoint, Clock::time_point now);
  void let_back(Endpoint& endpoint);

  const mesh::OutlierPolicy policy_;
  observe::WorkerMetrics& metrics_;
  std::size_t hosts_ = 0, ejected_ = 0;
  uint64_t changes_ = 0;
  uint64_t list_ = 0;
  Clock::time_point last_sweep_{}, next_sweep_{};
};

}  // namespace sallyport::upstream
