// The VirtualServices that this sidecar sees (gateway `mesh`), by host, with their delegates merged
// in (istio-api.md 1.4, 2.2, 2.3, 7). Pure. Points into the CompileInput, which must outlive it.
#pragma once
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/istio/labels.h"
#include "agent/istio/virtual_service.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/delegation.h"
#include "agent/mesh/sidecar_scope.h"

namespace sallyport::mesh {

// A refused VirtualService stands for a host that no good one has.
struct BrokenHost {
  std::string host;
  const istio::Refused* refused = nullptr;
};

class VirtualServiceIndex {
public:
  VirtualServiceIndex(const CompileInput& input, const SidecarScope& scope,
                      std::vector<istio::Finding>& findings);
  // The one whose host is the most specific for `host` (a service's; may be a wildcard); of equal
  // hosts the oldest. Null: none.
  const ServiceRules* find(std::string_view host) const;
  // Hosts of all destinations of their routes, lower case, short names expanded.
  std::unordered_set<std::string> destinations() const;
  // Hosts that are names, not wildcards: each may be asked for without a service of that name.
  std::vector<std::pair<std::string, const ServiceRules*>> names() const;

  // After all good ones: hosts of refused ones that none of them has.
  std::vector<BrokenHost> broken() const;
  void close(const std::string& host, ClusterPtr closed);

private:
  void add(const istio::VirtualService& service, const Delegation& delegation);

  const CompileInput& input_;
  std::vector<istio::Finding>& findings_;
  std::vector<std::unique_ptr<ServiceRules>> all_;
  HostTable<const ServiceRules*> by_host_;
};

// True when a match with these gateways, labels and namespace can hold for this sidecar. `http`:
// there, naming gateways makes labels and namespace not matter.
template <class Match>
bool for_this_sidecar(const Match& match, const istio::Proxy& proxy, bool http) {
  if (!match.gateways.empty()) {
    bool mesh = false;
    for (const auto& name : match.gateways) mesh = mesh || name == "mesh";
    if (!mesh || http) return mesh;
  }
  if (!match.source_namespace.empty() && match.source_namespace != proxy.namespace_name)
    return false;
  return istio::selects(match.source_labels, proxy.labels);
}

}  // namespace sallyport::mesh
