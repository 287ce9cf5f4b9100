// One port of one service, with the DestinationRule that applies to it, becomes a Cluster. Pure.
#pragma once
#include <vector>

#include "agent/mesh/cluster.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/rule_choice.h"
#include "agent/mesh/service_workloads.h"
#include "agent/mesh/sidecar_scope.h"

namespace sallyport::mesh {

// "outbound|80||edition.cnn.com", "outbound|80|v1|edition.cnn.com"
std::string outbound_name(uint16_t port, std::string_view host, std::string_view subset = {});

// `subset`: one of `choice`, or null for the whole service. Warnings (an endpoint that can't be
// used, TLS inside TLS, ...) are added to `findings`.
Cluster compile_cluster(const KnownService& service, const KnownPort& port,
                        const RuleChoice& choice, const SubsetChoice* subset,
                        ServiceWorkloads& workloads, std::vector<istio::Finding>& findings);

// What is closed because a resource was refused: `refused` names it.
Cluster closed_cluster(std::string_view host, uint16_t port, const istio::Refused& refused);

// What a route names and is not there: connections to it are closed.
ClusterPtr missing_cluster(std::string_view name, const ResourceRefPtr& named_by);

Cluster passthrough_cluster(std::string_view name, const istio::MeshConfig& mesh);
Cluster inbound_passthrough_cluster(const istio::MeshConfig& mesh, const istio::Proxy& proxy);
// Of what no service declares: closed by the Sidecar, or by the mesh.
Cluster black_hole_cluster(const SidecarScope& scope);

}  // namespace sallyport::mesh
