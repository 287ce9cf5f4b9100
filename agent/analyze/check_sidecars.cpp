// Sidecars that nobody has, or that several ask to be the one of; pods that lack a proxy. As
// Istio's sidecar.SelectorAnalyzer and injection.Analyzer.
#include "agent/analyze/selector_conflicts.h"

namespace sallyport::analyze {
namespace {

constexpr ConflictTexts of_sidecars = {"Sidecars", "spec.workloadSelector.labels", "IST0110",
                                       "IST0111"};

bool is_injected(const World& world, const std::string& space) {
  const auto* about = world.find("Namespace", "default", space);
  if (!about || space == world.mesh().root_namespace) return false;
  const auto labels = string_map(find(*about->node, "metadata.labels"));
  const auto mode = labels.find("istio.io/dataplane-mode");
  if (mode != labels.end() && mode->second == "ambient") return false;
  const auto at = labels.find("istio-injection");
  return at != labels.end() && at->second == "enabled";
}

void check_missing_proxy(Checks& checks, const Workload& workload) {
  const auto& ref = *workload.ref;
  if (ref.kind != "Pod" || workload.has_proxy || workload.refuses_sidecar || workload.host_network)
    return;
  const auto* object = checks.world.find(ref.kind, ref.namespace_name, ref.name);
  if (!object || !is_injected(checks.world, ref.namespace_name)) return;
  checks.add("IST0103", *object, "metadata.name",
             "The pod " + ref.namespace_name + "/" + ref.name +
                 " is missing the Istio proxy. This can often be resolved by restarting or "
                 "redeploying the workload.");
}

}  // namespace

void check_sidecars(Checks& checks) {
  std::vector<Typed<istio::Sidecar>> of_namespaces, of_pods;
  for (const auto& one : checks.world.all_read<istio::Sidecar>()) {
    const bool all = !one->workload_selector || one->workload_selector->empty();
    (all ? of_namespaces : of_pods).push_back(one);
  }
  SelectorConflicts<istio::Sidecar> conflicts(checks, of_sidecars);
  conflicts.in_pods(of_pods, [](const istio::Sidecar& one) -> const istio::Labels& {
    return *one.workload_selector;
  });
  conflicts.in_namespaces(of_namespaces);
  for (const auto& workload : checks.world.workloads()) check_missing_proxy(checks, workload);
}

}  // namespace sallyport::analyze
