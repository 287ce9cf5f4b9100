// Which endpoint is next in a cluster with a LoadPolicy: by hash, health, locality and age.
// Priority levels share the requests by their health, localities by their weight, then the
// cluster's Balancer chooses, as Envoy's LoadBalancerBase, ZoneAwareLoadBalancerBase and
// EdfLoadBalancerBase do.
//
// Threading: its worker's. Tables are built anew when endpoints come, go, are ejected or let back;
// else a pick allocates nothing (unless it has to avoid endpoints).
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "agent/mesh/cluster.h"
#include "agent/upstream/hash_table.h"
#include "agent/upstream/outlier.h"

namespace sallyport::upstream {

class PolicyBalancer {
public:
  // `detector` may be null. All must outlive this. REQUIRES: cluster.load->chooses().
  PolicyBalancer(const mesh::Cluster& cluster, OutlierDetector* detector, Random& random);
  PolicyBalancer(const PolicyBalancer&) = delete;

  // Before a pick, and once a second: `generation` changes with `endpoints`. Ends ejections whose
  // time is over.
  void follow(const Endpoints& endpoints, uint64_t generation, Clock::time_point now);
  // Of the endpoints followed last. nullptr: none is healthy, or there is none. One of `avoid` only
  // when no other is left; with consistent hashing it is not looked at, as Istio configures it.
  std::shared_ptr<Endpoint> pick(std::optional<uint64_t> hash,
                                 const std::vector<SocketAddress>* avoid, Clock::time_point now);
  // Whether an endpoint chosen for one request may serve another instead.
  bool interchangeable(const Endpoint& endpoint) const;

private:
  struct Group {  // a locality
    Endpoints endpoints;
    uint64_t share;  // against the others' of its level
    Balancer balancer;
  };
  struct Level {  // a priority
    std::vector<Group> groups;
    uint32_t percent = 0;  // of the requests
    // Consistent hashing: all groups' endpoints.
    Endpoints hashed;
    std::unique_ptr<HashTable> table;
  };
  struct Tally;
  void rebuild(const Endpoints& endpoints);
  void note_arrivals(const Endpoints& endpoints, Clock::time_point now);
  void share_out(std::vector<Tally>& levels) const;
  void fill(Level& level, const Tally& tally);
  Level* choose_level(uint64_t roll);
  Group& choose_group(Level& level);
  const std::shared_ptr<Endpoint>& by_hash(Level& level, uint64_t hash);
  std::shared_ptr<Endpoint> warmed(Group& group, Clock::time_point now);
  double warmth(const Endpoint& endpoint, Clock::time_point now) const;
  std::shared_ptr<Endpoint> another(const std::vector<SocketAddress>& avoid);

  const mesh::LoadPolicy& policy_;
  const mesh::Balancing balancing_;
  OutlierDetector* const detector_;
  Random& random_;
  std::vector<Level> levels_;
  std::optional<uint64_t> generation_;  // of what levels_ was made of
  uint64_t changes_ = 0;
  Clock::time_point warm_at_{};  // when the youngest endpoint is warm
};

}  // namespace sallyport::upstream
