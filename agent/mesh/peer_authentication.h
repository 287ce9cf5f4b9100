// What a workload accepts, port by port: PeerAuthentication of mesh, namespace, workload and port
// (istio-api.md 1.7, 2.11). Pure; points into the CompileInput, which must outlive it.
#pragma once
#include <string_view>
#include <vector>

#include "agent/core/boxed.h"
#include "agent/core/error.h"
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
  // `port` (the container's; 0: none is asked).
  MutualTlsChoice of_workload(std::string_view namespace_name, const istio::Labels& labels,
                              uint16_t port) const;
  // Mesh and namespace alone: auto mTLS's gate of a whole service (2.10 step 3).
  MutualTlsChoice of_namespace(std::string_view namespace_name) const;
  // Ports that the workload's own policy names: they have a mode also where no Service has them.
  std::vector<uint16_t> ports_of(std::string_view namespace_name,
                                 const istio::Labels& labels) const;
};

}  // namespace sallyport::mesh
