#include "agent/upstream/policy_balancer.h"

#include <algorithm>
#include <cmath>

#include "agent/core/limits.h"

namespace sallyport::upstream {
namespace {

constexpr uint32_t overprovisioning = 140;  // percent; Envoy's default
constexpr uint64_t share_scale = 1000;      // shares are whole numbers
constexpr uint64_t warmth_scale = 1'000'000;
constexpr int warm_tries = 64;  // then whoever comes

uint32_t availability(std::size_t healthy, std::size_t all) {
  if (all == 0) return 0;
  return static_cast<uint32_t>(std::min<std::size_t>(100, overprovisioning * healthy / all));
}

}  // namespace

// A priority's endpoints, while the levels are being made.
struct PolicyBalancer::Tally {
  std::vector<Endpoints> groups;  // by LoadPolicy::groups; or one
  std::size_t all = 0, healthy = 0;
  uint32_t percent = 0;
  bool panic = false;  // its unhealthy ones are used too
};

PolicyBalancer::PolicyBalancer(const mesh::Cluster& cluster, OutlierDetector* detector,
                               Random& random)
    : policy_(*cluster.load), balancing_(cluster.balancing), detector_(detector), random_(random) {}

void PolicyBalancer::follow(const Endpoints& endpoints, uint64_t generation,
                            Clock::time_point now) {
  const bool same = generation_ == generation;
  if (!same) note_arrivals(endpoints, now);
  if (tables_outdated_ && now - tables_built_ >= limits::hash_rebuild) build_tables(now);
  if (detector_ && detector_->due(now)) detector_->sweep(endpoints, now);
  if (same && (!detector_ || detector_->changes() == changes_)) return;
  generation_ = generation;
  if (detector_) changes_ = detector_->changes();
  rebuild(endpoints);
}

void PolicyBalancer::note_arrivals(const Endpoints& endpoints, Clock::time_point now) {
  ++list_;
  for (const auto& endpoint : endpoints) {
    if (!endpoint->health) {
      endpoint->health = std::make_unique<Health>();
      endpoint->health->since = now;
      if (policy_.warmup) warm_at_ = now + policy_.warmup->duration;
    }
    endpoint->health->list = list_;
  }
  if (detector_) detector_->follow(endpoints, list_);
  if (!policy_.hash) return;
  endpoints_ = endpoints;
  tables_outdated_ = true;
}

void PolicyBalancer::rebuild(const Endpoints& endpoints) {
  const auto& groups = policy_.groups;
  std::vector<Tally> tallies(1);
  for (const auto& group : groups) {
    if (group.priority >= tallies.size()) tallies.resize(group.priority + 1);
  }
  for (auto& tally : tallies) tally.groups.resize(std::max<std::size_t>(groups.size(), 1));
  for (const auto& endpoint : endpoints) {
    const std::size_t index = endpoint->group < groups.size() ? endpoint->group : 0;
    auto& tally = tallies[priority_of(*endpoint)];
    tally.groups[index].push_back(endpoint);
    ++tally.all;
    tally.healthy += healthy(*endpoint);
  }
  share_out(tallies);
  levels_.clear();
  for (std::size_t i = 0; i < tallies.size(); ++i) {
    const auto& tally = tallies[i];
    Level level;
    level.percent = tally.percent;
    level.priority = static_cast<uint32_t>(i);
    level.panic = tally.panic;
    if (level.percent > 0) fill(level, tally);
    if (!level.groups.empty()) levels_.push_back(std::move(level));
  }
}

// Envoy's recalculatePerPriorityState and -Panic: each level takes what its health can bear, what
// is left goes to the next.
void PolicyBalancer::share_out(std::vector<Tally>& levels) const {
  std::vector<uint32_t> health;
  uint32_t sum = 0;
  for (const auto& level : levels) {
    health.push_back(availability(level.healthy, level.all));
    sum += health.back();
  }
  const uint32_t total = std::min<uint32_t>(sum, 100);
  const uint32_t threshold = policy_.min_health_percent;
  bool all_panic = threshold > 0;
  for (auto& level : levels) {
    const bool enough = level.all > 0 && level.healthy * 100 >= threshold * level.all;
    level.panic = threshold > 0 && total != 100 && !enough;
    all_panic = all_panic && level.panic;
  }
  std::size_t hosts = 0;
  for (const auto& level : levels) hosts += level.all;
  if ((!all_panic && total == 0) || hosts == 0) return;
  uint32_t left = 100;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const uint32_t wanted =
        all_panic ? static_cast<uint32_t>(100 * levels[i].all / hosts) : health[i] * 100 / total;
    levels[i].percent = std::min(left, wanted);
    left -= levels[i].percent;
  }
  // Of rounding.
  const auto first = std::find_if(levels.begin(), levels.end(),
                                  [](const Tally& level) { return level.percent > 0; });
  if (first != levels.end()) first->percent += left;
}

void PolicyBalancer::fill(Level& level, const Tally& tally) {
  for (std::size_t i = 0; i < tally.groups.size(); ++i) {
    Endpoints usable;
    uint64_t sum = 0;
    auto oldest = Clock::time_point::max();
    for (const auto& endpoint : tally.groups[i]) {
      if (!tally.panic && !healthy(*endpoint)) continue;
      usable.push_back(endpoint);
      sum += endpoint->weight;
      oldest = std::min(oldest, endpoint->health->since);
    }
    if (usable.empty()) continue;
    const uint64_t own = policy_.groups.empty() ? 0 : policy_.groups[i].weight;
    const uint64_t weight = own != 0 ? own : sum;
    // One healthy host of very many is still some of the group's weight.
    const uint64_t able =
        tally.panic ? 100
                    : std::max<uint64_t>(1, availability(usable.size(), tally.groups[i].size()));
    level.groups.push_back({std::move(usable), weight * able * share_scale / 100,
                            Balancer(balancing_, random_), oldest});
  }
}

uint32_t PolicyBalancer::priority_of(const Endpoint& endpoint) const {
  const auto& groups = policy_.groups;
  return groups.empty() ? 0 : groups[endpoint.group < groups.size() ? endpoint.group : 0].priority;
}

// Each locality has its weight, whoever of it is ejected: its others take what that one had.
void PolicyBalancer::build_tables(Clock::time_point now) {
  tables_outdated_ = false;
  tables_built_ = now;
  struct Entry {
    std::string key;
    std::shared_ptr<Endpoint> endpoint;
  };
  std::vector<std::vector<Entry>> priorities;
  std::vector<uint64_t> sums(policy_.groups.size());
  for (const auto& endpoint : endpoints_) {
    const auto priority = priority_of(*endpoint);
    if (priority >= priorities.size()) priorities.resize(priority + 1);
    priorities[priority].push_back({endpoint->address.text(), endpoint});
    if (endpoint->group < sums.size()) sums[endpoint->group] += endpoint->weight;
  }
  tables_.clear();
  for (auto& entries : priorities) {
    auto& [all, table] = tables_.emplace_back();
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
    std::vector<HashTable::Host> hosts;
    for (auto& [key, endpoint] : entries) {
      double weight = std::max<uint32_t>(endpoint->weight, 1);
      if (endpoint->group < sums.size() && policy_.groups[endpoint->group].weight != 0) {
        weight *= double(policy_.groups[endpoint->group].weight) /
                  double(std::max<uint64_t>(sums[endpoint->group], 1));
      }
      hosts.push_back({std::move(key), weight});
      all.push_back(endpoint);
    }
    if (!hosts.empty()) table = std::make_unique<HashTable>(*policy_.hash, hosts);
  }
}

std::shared_ptr<Endpoint> PolicyBalancer::find(const Level& level, uint64_t key) const {
  if (level.priority >= tables_.size() || !tables_[level.priority].table) return nullptr;
  const auto& [endpoints, table] = tables_[level.priority];
  const auto found = table->at(key, [&](std::size_t host) {
    const Endpoint& endpoint = *endpoints[host];
    return endpoint.health->list == list_ && (level.panic || healthy(endpoint));
  });
  return found ? endpoints[*found] : nullptr;
}

std::shared_ptr<Endpoint> PolicyBalancer::by_hash(uint64_t key, Clock::time_point now) {
  const Level* const level = choose_level(key);
  if (!level) return nullptr;
  auto found = find(*level, key);
  if (!found && tables_outdated_) {  // All others have gone.
    build_tables(now);
    found = find(*level, key);
  }
  // Of very many, those of the least weight may have no place in the table.
  const auto& usable = level->groups.front().endpoints;
  return found ? found : usable[key % usable.size()];
}

PolicyBalancer::Level* PolicyBalancer::choose_level(uint64_t roll) {
  if (levels_.empty()) return nullptr;
  uint64_t sum = 0;
  for (auto& level : levels_) {
    sum += level.percent;
    if (roll % 100 < sum) return &level;
  }
  return &levels_.back();
}

PolicyBalancer::Group& PolicyBalancer::choose_group(Level& level) {
  if (level.groups.size() == 1) return level.groups.front();
  uint64_t sum = 0;
  for (const auto& group : level.groups) sum += group.share;
  uint64_t at = sum == 0 ? 0 : random_.below(sum);
  for (auto& group : level.groups) {
    if (at < group.share) return group;
    at -= group.share;
  }
  return level.groups.front();
}

std::shared_ptr<Endpoint> PolicyBalancer::pick(std::optional<uint64_t> hash,
                                               const std::vector<SocketAddress>* avoid,
                                               Clock::time_point now) {
  if (policy_.hash) return by_hash(hash ? *hash : random_.next(), now);
  Level* const level = choose_level(levels_.size() > 1 ? random_.below(100) : 0);
  if (!level) return nullptr;
  Group& group = choose_group(*level);
  auto chosen = now < warm_at_ ? warmed(group, now) : group.balancer.pick(group.endpoints, nullptr);
  if (listed(avoid, *chosen)) {
    if (auto other = another(*avoid)) return other;
  }
  return chosen;
}

// The balancer's choice counts with the probability that its age gives it, against the oldest's.
std::shared_ptr<Endpoint> PolicyBalancer::warmed(Group& group, Clock::time_point now) {
  const double most = warmth(group.oldest, now);
  for (int i = 0;; ++i) {
    auto chosen = group.balancer.pick(group.endpoints, nullptr);
    const double chance = warmth(chosen->health->since, now) / most;
    if (i == warm_tries || double(random_.below(warmth_scale)) < chance * warmth_scale) {
      return chosen;
    }
  }
}

// Envoy's applySlowStartFactor.
double PolicyBalancer::warmth(Clock::time_point since, Clock::time_point now) const {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const auto& warmup = *policy_.warmup;
  const double age = std::max(1.0, Milliseconds(now - since).count());
  const double factor = age / Milliseconds(warmup.duration).count();
  if (factor >= 1) return 1;
  return std::max(warmup.minimum, std::pow(factor, 1 / warmup.aggression));
}

std::shared_ptr<Endpoint> PolicyBalancer::another(const std::vector<SocketAddress>& avoid) {
  Endpoints others;
  for (const auto& level : levels_) {
    for (const auto& group : level.groups) {
      for (const auto& endpoint : group.endpoints) {
        if (!listed(&avoid, *endpoint)) others.push_back(endpoint);
      }
    }
    if (!others.empty()) break;  // A lower priority only where this one has nobody left.
  }
  return others.empty() ? nullptr : others[random_.below(others.size())];
}

bool PolicyBalancer::stands_in(const Endpoint& other, const Endpoint& chosen) const {
  return (healthy(other) || !healthy(chosen)) && priority_of(other) == priority_of(chosen);
}

bool PolicyBalancer::interchangeable(const Endpoint& endpoint) const {
  return !policy_.hash && healthy(endpoint);
}

}  // namespace sallyport::upstream
