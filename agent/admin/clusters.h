// /clusters: what the workers know of each cluster's endpoints, as text and as JSON in Envoy's
// words. Pure.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/snapshot.h"
#include "agent/upstream/upstreams.h"

namespace sallyport::admin {

using ClusterInfos = std::vector<upstream::Upstreams::ClusterInfo>;

// One entry a cluster: the sum over workers (`infos` has one entry a cluster and worker), and the
// clusters of the snapshot that no worker has used yet, with their fixed endpoints. By name.
ClusterInfos merged(const mesh::Snapshot& snapshot, const ClusterInfos& infos);
std::string clusters_text(const mesh::Snapshot& snapshot, const ClusterInfos& merged);
std::string clusters_json(const ClusterInfos& merged);

}  // namespace sallyport::admin
