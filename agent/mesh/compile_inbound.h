// The ports of this workload, from the Services, ServiceEntries and the Sidecar that declare them,
// with what PeerAuthentication and AuthorizationPolicy say of each (istio-api.md 1.6, 2.11, 2.15).
// Pure.
#pragma once
#include <functional>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/peer_authentication.h"

namespace sallyport::mesh {

struct InboundParts {
  const CompileInput& input;
  const PeerAuthentications& modes;
  const istio::Sidecar* sidecar;  // that applies to this proxy; null: none
  const Snapshot* previous;       // may be null
  ClusterPtr passthrough;         // InboundPassthroughCluster
  // Enters a cluster; gives the previous one where nothing changed.
  std::function<ClusterPtr(Cluster)> keep;
};
Inbound compile_inbound(const InboundParts& parts, std::vector<istio::Finding>& findings);

}  // namespace sallyport::mesh
