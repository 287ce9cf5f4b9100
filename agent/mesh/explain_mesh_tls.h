// Istio's mutual TLS in words: to which endpoints, because of what, and why not
// (istio-api.md 2.10).
#pragma once
#include <optional>

#include "agent/mesh/explain.h"

namespace sallyport::mesh {

// The step "TLS" of a cluster where auto mTLS or a rule's ISTIO_MUTUAL decides. Empty: nothing of
// the mesh is about it (an external service, or none).
std::optional<ExplainedStep> explain_mesh_tls(const CompileInput& input, const Cluster& cluster);

}  // namespace sallyport::mesh
