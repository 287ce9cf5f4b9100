// What a sidecar's configuration directory holds: the sample's own files with everything that is
// not for it left out. A document is left out by blanking its lines, so that a sidecar's findings
// name the line the author wrote.
//
// Left out: workloads and Services (Services and Pods are written anew, with their addresses),
// Namespaces, ServiceAccounts, and Secrets and ConfigMaps of other namespaces than the pod's: a pod
// must not read those.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "deploy/sandbox/manifest.h"

namespace sallyport::sandbox {

using Files = std::map<std::string, std::string>;  // name → content

struct ServiceAddresses {
  std::vector<std::string> cluster_ips;  // "None" for a headless one
};

// `sources`: file name → text as given. `namespace_name`: the pod's.
Files config_view(const Files& sources, const std::string& namespace_name);

// Blanks in `sources` every document that `newer_text` holds a newer version of (same kind,
// namespace, name).
void supersede(Files& sources, const std::string& newer_text);

// Of all documents those that `sallyport inject` judges others by: Namespaces, and the MeshConfig's
// ConfigMap istio-system/istio.
std::string injection_context(const Files& sources);

// One multi-document YAML text of all Services with spec.clusterIP and clusterIPs filled in, as an
// API server would answer. `addresses` by "namespace/name"; a Service without addresses is
// ExternalName.
std::string services_with_addresses(const std::vector<Service>& services,
                                    const std::map<std::string, ServiceAddresses>& addresses);

struct PodState {
  const Pod* pod = nullptr;
  std::vector<std::string> ips;
  bool ready = true;
};
// The same of all Pods, with their addresses in status: whom the sidecars send to, and who of them
// takes mutual TLS.
std::string pods_with_addresses(const std::vector<PodState>& pods);

}  // namespace sallyport::sandbox
