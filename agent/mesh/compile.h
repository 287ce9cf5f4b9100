// Resources and this proxy's identity become a Snapshot. Pure; runs on the configuration thread.
#pragma once
#include <optional>
#include <unordered_set>
#include <vector>

#include "agent/istio/decode.h"
#include "agent/istio/resources.h"
#include "agent/mesh/snapshot.h"

namespace sallyport::mesh {

using Resources = std::vector<std::shared_ptr<const istio::Resource>>;

// How the resources differ from those that the previous snapshot was compiled from. What that made
// of the others still holds.
struct Changes {
  std::unordered_set<const ResourceRef*> refs;  // of those that are new or were edited
  // A WorkloadEntry, Pod or EndpointSlice came, went or was edited; or a PeerAuthentication, which
  // says what they accept.
  bool workloads = false;
  std::size_t gone = 0;  // that are no more
  bool contains(const ResourceRefPtr& ref) const { return ref && refs.contains(ref.get()); }
};
// REQUIRES: one that was edited has its old ref, or one of its own.
Changes changes_between(const Resources& before, const Resources& now);

struct CompileInput {
  istio::MeshConfig mesh;
  istio::Proxy proxy;
  Resources resources;                  // in a stable order: "oldest" is first
  std::vector<istio::Refused> refused;  // of kinds that protect: their hosts are closed
  // Since the previous snapshot, which was compiled with the same `mesh` and `proxy`; unset:
  // nothing of it is known to hold.
  std::optional<Changes> changes = std::nullopt;
};
struct Compiled {
  SnapshotPtr snapshot;
  std::vector<istio::Finding> findings;   // conflicts, rules that reach nothing, ...
  std::vector<std::string> secret_names;  // certs::Vault names that clusters refer to
};
// `previous` (may be null): clusters and tables that did not change are shared with it.
Compiled compile(const CompileInput& input, const SnapshotPtr& previous, uint64_t version);

}  // namespace sallyport::mesh
