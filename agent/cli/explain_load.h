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
  std::vector<istio::Finding> findings;  // of compiling
  std::shared_ptr<const certs::Vault> vault;
  const analyze::Workload* pod = nullptr;  // of --from or --gateway; in `world`
};

struct LoadRequest {
  std::vector<std::string> paths;
  std::string mesh_config;  // "": that of a ConfigMap `istio` among the paths, else the defaults
  std::string domain;       // the cluster's
  std::string from;         // "": the proxy as given; NAME, NAMESPACE/NAME or NAME.NAMESPACE
  // "": a sidecar. Of a gateway's proxy: a pod as `from` names it, labels of one (key=value,...),
  // or "self": `proxy` as given.
  std::string gateway;
  istio::Proxy proxy;
  bool manifests = false;  // templates have pods, Services an address (explain_manifests.h)
};
// Errors: a path or the mesh config can't be read, no pod or workload is called so.
Result<Loaded> load(LoadRequest request);

}  // namespace sallyport::cli
