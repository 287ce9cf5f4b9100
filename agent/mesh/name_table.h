// The names that the DNS proxy answers itself, and their addresses (istio-api.md 2.17;
// istio/istio:pkg/dns/server/name_table.go, pkg/dns/client/dns.go). Immutable once built.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/address.h"
#include "agent/mesh/host_table.h"

namespace sallyport::mesh {

struct CompileInput;
struct KnownService;
class ServiceWorkloads;

class NameTable {
public:
  struct Host {
    std::vector<IpAddress> v4, v6;  // not both are empty
    bool kubernetes = false;        // a Service's; else a ServiceEntry's
    // Of a Service's, what its other names are made of; of a pod's, too. Empty: it has none.
    std::string short_name, namespace_name;
    bool operator==(const Host&) const = default;
  };
  using Hosts = std::map<std::string, Host, std::less<>>;  // lower case, without trailing dots

  // `namespace_name`: the proxy's own, whose Services have their name alone, too. `service_domain`:
  // "svc.cluster.local"; Services of another have their full name only.
  NameTable(Hosts hosts, std::string_view namespace_name, std::string_view service_domain);
  NameTable(const NameTable&) = delete;

  const Hosts& hosts() const { return hosts_; }
  bool has_wildcards() const { return has_wildcards_; }
  const Host* find(std::string_view name) const;  // one of its names exactly; null: none

private:
  Hosts hosts_;
  ByText<const Host*> by_name_;
  bool has_wildcards_ = false;
};

using NameTablePtr = std::shared_ptr<const NameTable>;

// Of the services that the proxy sees. `old` (may be null): it is given back where nothing changed.
NameTablePtr compile_names(const CompileInput& input, const std::vector<KnownService>& services,
                           ServiceWorkloads& workloads, const NameTablePtr& old);

struct NameAnswer {
  // Not empty: the name is an alias of this one. Views the name asked for, or `room`.
  std::string_view cname;
  std::span<const IpAddress> v4, v6;
};
using NameRoom = std::array<char, 260>;  // for what a wildcard's alias is called

// `name`: in lower case, without the root's dot. `search_domain`: the first of resolv.conf's, which
// names have behind them when they are asked for first; empty: none. nullopt: the mesh does not
// know it. No allocation, and no more time the more hosts there are.
std::optional<NameAnswer> find_name(const NameTable& table, std::string_view name,
                                    std::string_view search_domain, NameRoom& room);

// As istio-agent's /debug/ndsz.
std::string names_as_json(const NameTable& table);

}  // namespace sallyport::mesh
