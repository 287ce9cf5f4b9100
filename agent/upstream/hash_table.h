// Consistent hashing: which of a cluster's endpoints a request's hash belongs to. Ketama ring and
// Maglev as Envoy builds them (source/extensions/load_balancing_policies/{ring_hash,maglev}), keys
// included, so that all workers, and an Envoy beside us, agree. Pure and immutable.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/mesh/load_policy.h"

namespace sallyport::upstream {

class HashTable {
public:
  struct Host {
    std::string key;    // "10.0.0.1:80"
    double weight = 1;  // more than 0, against the others'
  };
  // Time and memory grow with policy.table_size: 65537 entries take a millisecond, 128 KiB;
  // of more than limits::hash_ring_points or hash_maglev_entries so many are made. Of more than
  // limits::hash_endpoints hosts the rest is left out. REQUIRES: hosts is not empty; they come in
  // one order for all who shall agree.
  HashTable(const mesh::HashPolicy& policy, std::span<const Host> hosts);
  std::size_t at(uint64_t hash) const { return host_at(place_of(hash)); }  // index in `hosts`
  // Where `usable` refuses that host, the next one that it takes: the others' keys stay where they
  // are. nullopt: it takes none that has a place in the table.
  template <class Usable>
  std::optional<std::size_t> at(uint64_t hash, Usable usable) const {
    std::size_t place = place_of(hash);
    for (std::size_t i = 0; i < places(); ++i) {
      if (const auto host = host_at(place); usable(host)) return host;
      if (++place == places()) place = 0;
    }
    return std::nullopt;
  }
  std::size_t places() const { return entries_.empty() ? ring_.size() : entries_.size(); }

private:
  struct Point {
    uint64_t hash;
    uint32_t host;
  };
  std::size_t place_of(uint64_t hash) const;
  std::size_t host_at(std::size_t place) const {
    return entries_.empty() ? ring_[place].host : entries_[place];
  }
  void fill_ring(std::span<const Host> hosts, uint64_t minimum);
  void fill_maglev(std::span<const Host> hosts, uint64_t size);

  std::vector<Point> ring_;        // by hash
  std::vector<uint16_t> entries_;  // Maglev's
};

}  // namespace sallyport::upstream
