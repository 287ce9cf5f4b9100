// What `explain` looks at: files and directories as a sidecar would have them in force.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/analyze/world.h"
#include "agent/core/error.h"
#include "agent/mesh/compile.h"
#include "certs/vault.h"

namespace sallyport::cli {

struct Loaded {
  std::unique_ptr<analyze::World> world;  // the documents, pods too
  mesh::CompileInput input;
  mesh::SnapshotPtr snapshot;
  std::shared_ptr<const certs::Vault> vault;
  const analyze::Workload* pod = nullptr;  // of --from; in `world`
};

struct LoadRequest {
  std::vector<std::string> paths;
  std::string mesh_config;  // "": that of a ConfigMap `istio` among the paths, else the defaults
  std::string domain;       // the cluster's
  std::string from;         // "": the proxy as given; NAME, NAMESPACE/NAME or NAME.NAMESPACE
  istio::Proxy proxy;
  bool manifests = false;  // templates have pods, Services an address (explain_manifests.h)
};
// Errors: a path or the mesh config can't be read, no pod or workload is called so.
Result<Loaded> load(LoadRequest request);

}  // namespace sallyport::cli
