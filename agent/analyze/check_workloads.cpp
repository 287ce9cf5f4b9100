// Pods: what keeps a sidecar from doing its work.
#include "agent/analyze/checks.h"

namespace sallyport::analyze {
namespace {

constexpr std::string_view proxy_uid = "1337";

void check_uid(Checks& checks, const Workload& workload, const Object& object) {
  const auto* spec = workload.pod->find("spec");
  if (!spec) return;
  const auto at = (workload.path.empty() ? "" : workload.path + ".") + std::string("spec");
  const auto add = [&](const std::string& field) {
    checks.add("IST0144", object, field, "User ID (UID) 1337 is reserved for the sidecar proxy.");
  };
  const bool pod_level = scalar(find(*spec, "securityContext.runAsUser")) == proxy_uid;
  if (pod_level) add(at + ".securityContext.runAsUser");
  const auto* containers = spec->find("containers");
  for (std::size_t i = 0; containers && i < containers->entries.size(); i++) {
    const auto& container = *containers->entries[i].value;
    if (scalar(container.find("name")) == "istio-proxy") continue;
    if (scalar(find(container, "securityContext.runAsUser")) == proxy_uid) {
      add(item(at + ".containers", i) + ".securityContext.runAsUser");
    }
  }
}

}  // namespace

void check_workloads(Checks& checks) {
  for (const auto& workload : checks.world.workloads()) {
    const auto& ref = *workload.ref;
    const auto* object = checks.world.find(ref.kind, ref.namespace_name, ref.name);
    if (object && workload.pod && !workload.host_network && !workload.refuses_sidecar) {
      check_uid(checks, workload, *object);
    }
  }
}

}  // namespace sallyport::analyze
