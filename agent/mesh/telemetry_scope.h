// Which Telemetry resources are a proxy's (istio-api.md 1.10;
// istio/istio:pilot/pkg/model/telemetry.go). Pure.
#pragma once
#include <vector>

#include "agent/istio/decode.h"

namespace sallyport::mesh {

struct CompileInput;

// The widest scope first: the mesh's, the namespace's (of each the oldest without a selector), then
// all that select the workload, the oldest first, as istiod has it. They point into `input`.
// `findings` gets those beside an older one of their scope.
std::vector<const istio::Telemetry*> applicable_telemetries(const CompileInput& input,
                                                            std::vector<istio::Finding>& findings);

}  // namespace sallyport::mesh
