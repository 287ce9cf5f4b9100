// The servers of this proxy's Gateways and the VirtualServices behind them become listeners,
// filter chains and route tables, as istiod generates them for a router (istio-api.md 1.5, 2.3,
// 2.14; istio/istio:pilot/pkg/networking/core/gateway.go). Pure.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/compile_routes.h"

namespace sallyport::mesh {

struct GatewayParts {  // outlive the call
  const CompileInput& input;
  const Snapshot* previous;  // may be null
  const RouteCompiler& routes;
  // Clusters of services of the mesh and of their subsets, for AUTO_PASSTHROUGH: by the SNI that
  // leads there.
  struct Behind {
    std::string host, sni;
    ClusterPtr cluster;
  };
  std::function<std::vector<Behind>()> behind;
  // What a refused resource leaves of a host: a cluster that nobody is sent to.
  std::function<ClusterPtr(const std::string& host, const istio::Refused& refused)> closed;
};
GatewayPorts compile_gateway(const GatewayParts& parts, std::vector<istio::Finding>& findings);

// Every chain of every listener, each once.
void each_chain(const GatewayPorts& ports, const std::function<void(const GatewayChainPtr&)>& job);

}  // namespace sallyport::mesh
