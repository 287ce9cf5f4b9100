// connectionPool, loadBalancer and outlierDetection of a rule (else of the mesh) become a cluster's
// limits and its LoadPolicy (istio-api.md 1.3, 1.12, 3.6). Pure.
#pragma once
#include "agent/istio/resources.h"
#include "agent/mesh/cluster.h"
#include "agent/mesh/rule_choice.h"

namespace sallyport::mesh {

// `pool` and `budget` may be null: the mesh's baseline counts, block by block.
void apply_pool(const istio::ConnectionPool* pool, const istio::RetryBudget* budget,
                const istio::MeshConfig& mesh, Cluster& out);

// All but localities (mesh/locality.h). `balancer` may be null.
void apply_load_balancer(const istio::LoadBalancer* balancer, Cluster& out);

// The rule's, else the mesh's baseline; null: neither.
const istio::OutlierDetection* outlier_detection_of(const PortRules& rules,
                                                    const istio::MeshConfig& mesh);
void apply_outlier_detection(const istio::OutlierDetection* outlier, Cluster& out);

}  // namespace sallyport::mesh
