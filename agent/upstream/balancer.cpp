#include "agent/upstream/balancer.h"

#include <algorithm>

namespace sallyport::upstream {

uint64_t Random::next() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return state_ * 0x2545F4914F6CDD1DULL;
}

uint64_t Random::below(uint64_t bound) { return (next() >> 33) % bound; }

bool listed(const std::vector<SocketAddress>* list, const SocketAddress& address) {
  return list && std::find(list->begin(), list->end(), address) != list->end();
}

std::shared_ptr<Endpoint> Balancer::pick(const Endpoints& endpoints,
                                         const std::vector<SocketAddress>* avoid) {
  if (endpoints.empty()) return nullptr;
  if (avoid && !avoid->empty()) {
    Endpoints others;
    for (const auto& endpoint : endpoints) {
      if (!listed(avoid, *endpoint)) others.push_back(endpoint);
    }
    if (!others.empty() && others.size() < endpoints.size()) {
      return others[random_.below(others.size())];
    }
  }
  return choose(endpoints);
}

const std::shared_ptr<Endpoint>& Balancer::choose(const Endpoints& endpoints) {
  if (endpoints.size() == 1) return endpoints.front();
  switch (policy_) {
    case mesh::Balancing::least_request:
      return least_request(endpoints);
    case mesh::Balancing::round_robin:
      return round_robin(endpoints);
    case mesh::Balancing::random:
      break;
  }
  return endpoints[random_.below(endpoints.size())];
}

std::size_t Balancer::by_weight(const Endpoints& endpoints) {
  uint64_t sum = 0;
  for (const auto& endpoint : endpoints) sum += endpoint->weight;
  if (sum == endpoints.size() || sum == 0) return random_.below(endpoints.size());
  uint64_t at = random_.below(sum);
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (at < endpoints[i]->weight) return i;
    at -= endpoints[i]->weight;
  }
  return 0;
}

const std::shared_ptr<Endpoint>& Balancer::least_request(const Endpoints& endpoints) {
  const std::size_t first = by_weight(endpoints);
  std::size_t second = by_weight(endpoints);
  if (second == first)
    second = (first + 1 + random_.below(endpoints.size() - 1)) % endpoints.size();
  const auto& a = endpoints[first];
  const auto& b = endpoints[second];
  return b->active < a->active ? b : a;
}

const std::shared_ptr<Endpoint>& Balancer::round_robin(const Endpoints& endpoints) {
  if (turns_left_ == 0 || next_ >= endpoints.size()) {
    next_ = (next_ + 1) % endpoints.size();
    turns_left_ = std::max<uint32_t>(endpoints[next_]->weight, 1);
  }
  --turns_left_;
  return endpoints[next_];
}

}  // namespace sallyport::upstream
