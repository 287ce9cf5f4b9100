// Which endpoint is next: LEAST_REQUEST (the better of two random ones, as Envoy), ROUND_ROBIN,
// RANDOM.
//
// Threading: its worker's. No allocation unless `avoid` is not empty.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "agent/mesh/cluster.h"
#include "agent/upstream/pool.h"

namespace sallyport::upstream {

// xorshift64*: spreads load, keeps no secret.
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed | 1) {}
  uint64_t next();
  uint64_t below(uint64_t bound);  // REQUIRES: bound > 0

private:
  uint64_t state_;
};

using Endpoints = std::vector<std::shared_ptr<Endpoint>>;

inline bool healthy(const Endpoint& endpoint) {  // as far as anybody watches
  return !endpoint.health || !endpoint.health->ejected;
}
// `list` may be null.
bool listed(const std::vector<SocketAddress>* list, const SocketAddress& address);
inline bool listed(const std::vector<SocketAddress>* list, const Endpoint& endpoint) {
  return listed(list, endpoint.address);
}

class Balancer {
public:
  Balancer(mesh::Balancing policy, Random& random) : policy_(policy), random_(random) {}

  // nullptr when there are none. One of `avoid` only when no other is left. Weights count in
  // LEAST_REQUEST and ROUND_ROBIN; RANDOM takes no notice of them, as Envoy's.
  std::shared_ptr<Endpoint> pick(const Endpoints& endpoints,
                                 const std::vector<SocketAddress>* avoid);

private:
  const std::shared_ptr<Endpoint>& choose(const Endpoints& endpoints);
  const std::shared_ptr<Endpoint>& least_request(const Endpoints& endpoints);
  const std::shared_ptr<Endpoint>& round_robin(const Endpoints& endpoints);
  std::size_t by_weight(const Endpoints& endpoints);

  mesh::Balancing policy_;
  Random& random_;
  std::size_t next_ = SIZE_MAX;  // ROUND_ROBIN: the one whose turn it is
  uint32_t turns_left_ = 0;      // of `next_`, by its weight
};

}  // namespace sallyport::upstream
