// The hosts of a DYNAMIC_DNS cluster: one runtime for each host and port that clients name, as of a
// cluster whose only endpoint is that name. They share the cluster's limits.
//
// Threading: its worker's. Limits: limits::dynamic_hosts of a cluster; unused ones go after
// limits::upstream_unused, the one unused for longest when room is needed.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent/upstream/pool.h"
#include "agent/upstream/shared.h"

namespace sallyport::upstream {

class Runtime;

class DynamicHosts {
public:
  // `cluster`: outlives this; Discovery::dynamic_dns.
  DynamicHosts(std::shared_ptr<Shared> shared, const mesh::Cluster& cluster,
               std::shared_ptr<Load> load);
  ~DynamicHosts();
  DynamicHosts(const DynamicHosts&) = delete;

  // Without allocation; null: not asked for lately.
  std::shared_ptr<Runtime> known(const Need& need) const;
  // Errors: Fault::unresolved without a host; Fault::overflow.
  Result<std::shared_ptr<Runtime>> runtime_for(const Need& need);
  bool sweep();  // false: none is left
  template <class F>
  void each(F job) const {
    for (const auto& [host, one] : hosts_) job(*one.runtime);
  }

private:
  struct Key {
    std::string_view host;
    uint16_t port = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<std::string_view>()(key.host) * 31 + key.port;
    }
  };
  struct Host {
    mesh::ClusterPtr cluster;  // its endpoint's host is the key's
    std::shared_ptr<Runtime> runtime;
  };
  Key key_of(const Need& need) const;
  bool make_room();

  std::shared_ptr<Shared> shared_;
  const mesh::Cluster& cluster_;
  std::shared_ptr<Load> load_;
  std::unordered_map<Key, Host, KeyHash> hosts_;
};

}  // namespace sallyport::upstream
