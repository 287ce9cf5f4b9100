// Consistent hashing: which of a cluster's endpoints a request's hash belongs to. Ketama ring and
// Maglev as Envoy builds them (source/extensions/load_balancing_policies/{ring_hash,maglev}), keys
// included, so that all workers, and an Envoy beside us, agree. Pure and immutable.
#pragma once
#include <cstdint>
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
  // Time and memory grow with policy.table_size: 65537 entries take half a millisecond, 128 KiB.
  // Of more than limits::hash_endpoints hosts the rest is left out. REQUIRES: hosts is not empty.
  HashTable(const mesh::HashPolicy& policy, std::span<const Host> hosts);
  std::size_t at(uint64_t hash) const;  // index in `hosts`

private:
  struct Point {
    uint64_t hash;
    uint32_t host;
  };
  void fill_ring(std::span<const Host> hosts, uint64_t minimum);
  void fill_maglev(std::span<const Host> hosts, uint64_t size);

  std::vector<Point> ring_;        // by hash
  std::vector<uint16_t> entries_;  // Maglev's
};

}  // namespace sallyport::upstream
