// Resources and this proxy's identity become a Snapshot. Pure; runs on the configuration thread.
#pragma once
#include <vector>

#include "agent/istio/decode.h"
#include "agent/istio/resources.h"
#include "agent/mesh/snapshot.h"

namespace sallyport::mesh {

struct CompileInput {
  istio::MeshConfig mesh;
  istio::Proxy proxy;
  std::vector<std::shared_ptr<const istio::Resource>>
      resources;                        // in a stable order: "oldest" is first
  std::vector<istio::Refused> refused;  // of kinds that protect: their hosts are closed
  // `mesh` and `proxy` are those that the previous snapshot was compiled with: what it made of
  // resources that are the same objects still holds.
  bool same_mesh = false;
};
struct Compiled {
  SnapshotPtr snapshot;
  std::vector<istio::Finding> findings;   // conflicts, rules that reach nothing, ...
  std::vector<std::string> secret_names;  // certs::Vault names that clusters refer to
};
// `previous` (may be null): clusters and tables that did not change are shared with it.
Compiled compile(const CompileInput& input, const SnapshotPtr& previous, uint64_t version);

}  // namespace sallyport::mesh
