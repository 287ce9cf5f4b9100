// Sidecars that nobody has, or that several ask to be the one of; pods that lack a proxy. As
// Istio's sidecar.SelectorAnalyzer and injection.Analyzer.
#include <algorithm>

#include "agent/analyze/checks.h"
#include "agent/istio/labels.h"

namespace sallyport::analyze {
namespace {

using Sidecars = std::vector<Typed<istio::Sidecar>>;

// As Go prints a list: "[a b]".
std::string names_of(const Sidecars& all) {
  std::vector<std::string> names;
  for (const auto& one : all) names.push_back(one->metadata.name());
  std::sort(names.begin(), names.end());
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : " ") + name;
  return "[" + out + "]";
}

void check_of_namespace(Checks& checks, const std::string& space, const Sidecars& all) {
  if (all.size() < 2) return;
  for (const auto& one : all) {
    checks.add("IST0111", *one.object, "metadata.name",
               "The Sidecars " + names_of(all) + " in namespace \"" + space +
                   "\" have no workload selector, which can lead to undefined behavior.");
  }
}

// Istio's analyzer knows only Pods; here templates count for them.
void check_of_pods(Checks& checks, const Sidecars& all) {
  std::map<const Workload*, Sidecars> by_pod;
  for (const auto& one : all) {
    const auto& labels = *one->workload_selector;
    const auto pods = checks.world.selected(labels, one->metadata.namespace_name());
    for (const auto* pod : pods) by_pod[pod].push_back(one);
    if (!pods.empty() || checks.world.workloads().empty()) continue;
    checks.add("IST0101", *one.object, "spec.workloadSelector.labels",
               "Referenced selector not found: \"" + istio::text_of(labels) + "\"",
               "correct the labels of the selector or of the pods");
  }
  for (const auto& workload : checks.world.workloads()) {  // in the order of the documents
    const auto at = by_pod.find(&workload);
    if (at == by_pod.end() || at->second.size() < 2) continue;
    for (const auto& one : at->second) {
      checks.add("IST0110", *one.object, "metadata.name",
                 "The Sidecars " + names_of(at->second) + " in namespace \"" +
                     workload.ref->namespace_name + "\" select the same workload pod \"" +
                     workload.ref->name + "\", which can lead to undefined behavior.");
    }
  }
}

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
  std::map<std::string, Sidecars> of_namespaces;
  Sidecars of_pods;
  for (const auto& one : checks.world.all_read<istio::Sidecar>()) {
    const bool all = !one->workload_selector || one->workload_selector->empty();
    (all ? of_namespaces[one->metadata.namespace_name()] : of_pods).push_back(one);
  }
  check_of_pods(checks, of_pods);
  for (const auto& [space, all] : of_namespaces) check_of_namespace(checks, space, all);
  for (const auto& workload : checks.world.workloads()) check_missing_proxy(checks, workload);
}

}  // namespace sallyport::analyze
