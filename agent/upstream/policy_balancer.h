// Which endpoint is next in a cluster with a LoadPolicy: by hash, health, locality and age.
// Priority levels share the requests by their health, localities by their weight, then the
// cluster's Balancer chooses, as Envoy's LoadBalancerBase, ZoneAwareLoadBalancerBase and
// EdfLoadBalancerBase do.
//
// Threading: its worker's. Lists are made anew when endpoints come, go, are ejected or let back;
// else a pick allocates nothing (unless it has to avoid endpoints). Tables of consistent hashing
// cost more: they hold all endpoints, a pick passes over those that are ejected or gone, and they
// are built when endpoints come or go, at most once in limits::hash_rebuild. (Envoy builds them
// without the ejected ones, and so moves a few keys of the others too.)
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
  bool hashes() const { return bool(policy_.hash); }
  // Whether a connection to `other` may serve where `chosen` was picked and can't be reached.
  bool stands_in(const Endpoint& other, const Endpoint& chosen) const;

private:
  struct Group {  // a locality
    Endpoints endpoints;
    uint64_t share;  // against the others' of its level
    Balancer balancer;
    Clock::time_point oldest;  // when the first of its endpoints was first seen
  };
  struct Level {  // a priority
    std::vector<Group> groups;
    uint32_t percent = 0;  // of the requests
    uint32_t priority = 0;
    bool panic = false;  // ejected endpoints are used too
  };
  struct Hashed {         // a priority's
    Endpoints endpoints;  // by their keys, so that all workers agree
    std::unique_ptr<HashTable> table;
  };
  struct Tally;
  void rebuild(const Endpoints& endpoints);
  void note_arrivals(const Endpoints& endpoints, Clock::time_point now);
  void share_out(std::vector<Tally>& levels) const;
  void fill(Level& level, const Tally& tally);
  uint32_t priority_of(const Endpoint& endpoint) const;
  void build_tables(Clock::time_point now);
  std::shared_ptr<Endpoint> by_hash(uint64_t key, Clock::time_point now);
  std::shared_ptr<Endpoint> find(const Level& level, uint64_t key) const;
  Level* choose_level(uint64_t roll);
  Group& choose_group(Level& level);
  std::shared_ptr<Endpoint> warmed(Group& group, Clock::time_point now);
  double warmth(Clock::time_point since, Clock::time_point now) const;
  std::shared_ptr<Endpoint> another(const std::vector<SocketAddress>& avoid);

  const mesh::LoadPolicy& policy_;
  const mesh::Balancing balancing_;
  OutlierDetector* const detector_;
  Random& random_;
  std::vector<Level> levels_;
  std::optional<uint64_t> generation_;  // of what levels_ was made of
  uint64_t changes_ = 0;
  uint64_t list_ = 0;  // how many lists were followed
  // Consistent hashing
  Endpoints endpoints_;         // of the last list
  std::vector<Hashed> tables_;  // by priority
  bool tables_outdated_ = false;
  Clock::time_point tables_built_{};
  Clock::time_point warm_at_{};  // when the youngest endpoint is warm
};

}  // namespace sallyport::upstream
