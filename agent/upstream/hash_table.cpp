#include "agent/upstream/hash_table.h"

#include <algorithm>
#include <cmath>

#include "agent/core/limits.h"
#include "agent/core/xxhash.h"

namespace sallyport::upstream {
namespace {

constexpr uint16_t free_entry = UINT16_MAX;

std::vector<double> normalized(std::span<const HashTable::Host> hosts) {
  double sum = 0;
  for (const auto& host : hosts) sum += host.weight;
  std::vector<double> out;
  for (const auto& host : hosts) out.push_back(host.weight / sum);
  return out;
}

}  // namespace

HashTable::HashTable(const mesh::HashPolicy& policy, std::span<const Host> hosts) {
  hosts = hosts.first(std::min(hosts.size(), limits::hash_endpoints));
  if (policy.table == mesh::HashPolicy::Table::maglev) {
    fill_maglev(hosts, std::min<uint64_t>(policy.table_size, limits::hash_maglev_entries));
  } else {
    fill_ring(hosts, policy.table_size);
  }
}

// The host of least weight gets a whole number of points, the others in proportion.
void HashTable::fill_ring(std::span<const Host> hosts, uint64_t minimum) {
  const auto weights = normalized(hosts);
  const double least = *std::min_element(weights.begin(), weights.end());
  const double scale =
      std::min(std::ceil(least * double(minimum)) / least, double(limits::hash_ring_points));
  ring_.reserve(static_cast<std::size_t>(std::ceil(scale)));
  double target = 0;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    target += scale * weights[i];
    for (std::size_t n = 0; double(ring_.size()) < target; ++n) {
      const auto hash = xxhash64(hosts[i].key + "_" + std::to_string(n));
      ring_.push_back({hash, static_cast<uint32_t>(i)});
    }
  }
  std::sort(ring_.begin(), ring_.end(),
            [](const Point& a, const Point& b) { return a.hash < b.hash; });
}

// Hosts take turns (those of less weight skip some) to claim the next free entry of their own
// permutation of the table.
void HashTable::fill_maglev(std::span<const Host> hosts, uint64_t size) {
  struct Claim {
    uint64_t next, skip;
    double weight, due = 0;
  };
  const auto weights = normalized(hosts);
  const double most = *std::max_element(weights.begin(), weights.end());
  std::vector<Claim> claims;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const auto& key = hosts[i].key;
    claims.push_back({xxhash64(key) % size, xxhash64(key, 1) % (size - 1) + 1, weights[i]});
  }
  entries_.assign(size, free_entry);
  uint64_t taken = 0;
  for (uint64_t turn = 1; taken < size; ++turn) {
    for (std::size_t i = 0; i < claims.size() && taken < size; ++i) {
      auto& claim = claims[i];
      if (double(turn) * claim.weight < claim.due) continue;
      claim.due += most;
      while (entries_[claim.next] != free_entry) {
        claim.next += claim.skip;  // A division each would be half of the time.
        if (claim.next >= size) claim.next -= size;
      }
      entries_[claim.next] = static_cast<uint16_t>(i);
      ++taken;
    }
  }
}

std::size_t HashTable::place_of(uint64_t hash) const {
  if (!entries_.empty()) return hash % entries_.size();
  const auto found =
      std::lower_bound(ring_.begin(), ring_.end(), hash,
                       [](const Point& point, uint64_t wanted) { return point.hash < wanted; });
  return found == ring_.end() ? 0 : static_cast<std::size_t>(found - ring_.begin());
}

}  // namespace sallyport::upstream
