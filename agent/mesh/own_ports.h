// The ports of this workload as the Services and ServiceEntries that lead to it declare them
// (istiod's service targets). Pure.
#pragma once
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/port_kind.h"

namespace sallyport::mesh {

struct OwnPort {
  uint16_t number = 0;  // the service's
  uint16_t target = 0;  // where connections arrive: the container's
  PortKind kind = PortKind::detect;
  const istio::Metadata* by = nullptr;  // of the Service or ServiceEntry; lives as the input does
};

// In the order of the resources. What a Service names and the pod does not have is told in
// `findings`.
std::vector<OwnPort> own_ports(const CompileInput& input, std::vector<istio::Finding>& findings);

}  // namespace sallyport::mesh
