// What a workload accepts, port by port: PeerAuthentication of mesh, namespace, workload and port
// (istio-api.md 1.7, 2.11). Pure; points into the CompileInput, which must outlive it.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/boxed.h"
#include "agent/core/error.h"
#include "agent/istio/decode.h"
#include "agent/istio/resources.h"
#include "agent/mesh/cluster.h"

namespace sallyport::mesh {

struct CompileInput;

struct MutualTlsChoice {
  istio::MutualTls mode = istio::MutualTls::permissive;  // never unset
  ResourceRefPtr from;  // the PeerAuthentication that said so, at its line; null: Istio's default
  // Fail closed: a PeerAuthentication that selects the workload is broken and has no good version.
  // STRICT and closed are not the same: nobody is let in, with this reason.
  Boxed<Error> refused;
  bool operator==(const MutualTlsChoice&) const = default;
};

class PeerAuthentications {
public:
  explicit PeerAuthentications(const CompileInput& input);

  // Mesh, namespace, the oldest policy that selects the workload, then its portLevelMtls for
  // `port` (the container's; 0: none is asked). A broken policy counts where a good one in its
  // place would be asked.
  MutualTlsChoice of_workload(std::string_view namespace_name, const istio::Labels& labels,
                              uint16_t port) const;
  // Mesh and namespace alone: auto mTLS's gate of a whole service (2.10 step 3).
  MutualTlsChoice of_namespace(std::string_view namespace_name) const;
  // Ports that the workload's own policy names: they have a mode also where no Service has them.
  std::vector<uint16_t> ports_of(std::string_view namespace_name,
                                 const istio::Labels& labels) const;
  // Policies that never count: beside an older one of their scope, or with a selector in the root
  // namespace.
  void report(std::vector<istio::Finding>& findings) const;

private:
  struct Scope {
    const istio::PeerAuthentication* for_all = nullptr;         // the oldest
    std::vector<const istio::PeerAuthentication*> later;        // without effect
    std::vector<const istio::PeerAuthentication*> by_selector;  // oldest first
    const istio::Refused* refused = nullptr;                    // of the whole scope
    std::vector<const istio::Refused*> refused_by_selector;
  };
  const Scope* find(std::string_view namespace_name) const;
  const istio::PeerAuthentication* own_policy(std::string_view namespace_name,
                                              const istio::Labels& labels) const;
  const istio::Refused* own_refused(std::string_view namespace_name,
                                    const istio::Labels& labels) const;
  static bool decide(const Scope* scope, MutualTlsChoice& choice);

  std::map<std::string, Scope, std::less<>> scopes_;  // by namespace
  std::string root_;
};

}  // namespace sallyport::mesh
