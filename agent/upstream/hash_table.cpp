#include "agent/upstream/hash_table.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <utility>

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

// A host of Maglev's table: where its permutation is, and what its next entry costs.
struct Claim {
  uint64_t next, skip;
  double weight, due = 0;

  // The first turn after `turn` by which its weight has paid.
  uint64_t turn_after(uint64_t turn) const {
    if (double(turn + 1) * weight >= due) return turn + 1;
    auto next_turn = static_cast<uint64_t>(due / weight);
    while (double(next_turn) * weight < due) ++next_turn;
    return next_turn;
  }
};

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
// permutation of the table. Who skips turns is not looked at meanwhile: one host of much weight
// among very many would cost a look at all of them for each of its entries.
void HashTable::fill_maglev(std::span<const Host> hosts, uint64_t size) {
  const auto weights = normalized(hosts);
  const double most = *std::max_element(weights.begin(), weights.end());
  std::vector<Claim> claims;
  std::vector<std::size_t> due, back, following;  // hosts, in their order
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const auto& key = hosts[i].key;
    claims.push_back({xxhash64(key) % size, xxhash64(key, 1) % (size - 1) + 1, weights[i]});
    due.push_back(i);
  }
  using Later = std::pair<uint64_t, std::size_t>;  // turn, host
  std::priority_queue<Later, std::vector<Later>, std::greater<>> later;
  entries_.assign(size, free_entry);
  uint64_t taken = 0;
  for (uint64_t turn = 1; taken < size; ++turn) {
    for (back.clear(); !later.empty() && later.top().first == turn; later.pop()) {
      back.push_back(later.top().second);
    }
    if (!back.empty()) {
      following.resize(due.size() + back.size());
      std::merge(due.begin(), due.end(), back.begin(), back.end(), following.begin());
      due.swap(following);
    }
    following.clear();
    for (const std::size_t host : due) {
      if (taken++ == size) break;
      Claim& claim = claims[host];
      while (entries_[claim.next] != free_entry) {
        claim.next += claim.skip;  // A division each would be half of the time.
        if (claim.next >= size) claim.next -= size;
      }
      entries_[claim.next] = static_cast<uint16_t>(host);
      claim.due += most;
      const uint64_t next = claim.turn_after(turn);
      if (next == turn + 1) {
        following.push_back(host);
      } else {
        later.emplace(next, host);
      }
    }
    due.swap(following);
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
