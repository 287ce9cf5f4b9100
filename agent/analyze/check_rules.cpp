// DestinationRules: whom they are for, and which of them is without effect.
#include <algorithm>
#include <tuple>

#include "agent/analyze/checks.h"
#include "agent/istio/labels.h"

namespace sallyport::analyze {
namespace {

using Rule = Typed<istio::DestinationRule>;

bool has_workloads(const World& world, const std::string& namespace_name) {
  return std::any_of(world.workloads().begin(), world.workloads().end(),
                     [&](const auto& one) { return one.ref->namespace_name == namespace_name; });
}

// A pod's labels with those that Istio adds to them: of its node.
istio::Labels augmented(const World& world, const Workload& pod) {
  istio::Labels out = pod.labels;
  const auto name = pod.pod ? scalar(find(*pod.pod, "spec.nodeName")) : std::string();
  if (name.empty()) return out;
  out["kubernetes.io/hostname"] = name;
  const auto* node = world.find("Node", "default", name);
  if (!node) return out;
  const auto labels = string_map(find(*node->node, "metadata.labels"));
  for (const char* topology : {"topology.kubernetes.io/region", "topology.kubernetes.io/zone",
                               "topology.istio.io/subzone"}) {
    const auto at = labels.find(topology);
    if (at != labels.end() && !at->second.empty()) out[topology] = at->second;
  }
  return out;
}

// As Istio does it: any pod of any namespace will do. Its analyzer knows only Pods; here templates
// count for those that they make.
class Pods {
public:
  explicit Pods(const World& world) {
    for (const auto& workload : world.workloads()) labels_.insert(augmented(world, workload));
  }
  bool any(const istio::Labels& selector) const {
    return std::any_of(labels_.begin(), labels_.end(),
                       [&](const auto& labels) { return istio::selects(selector, labels); });
  }

private:
  std::set<istio::Labels> labels_;
};

// Of a ServiceEntry: Istio's analyzer looks at Pods only, and says of what works that it doesn't.
bool has_endpoint(const Host& host, const istio::Labels& selector) {
  if (!host.entry.value) return false;
  const auto& all = host.entry->endpoints;
  return std::any_of(all.begin(), all.end(), [&](const auto& endpoint) {
    return istio::selects(selector, endpoint.labels);
  });
}

void check_subsets(Checks& checks, const Pods& pods, const Rule& rule, const Host& host) {
  for (std::size_t i = 0; i < rule->subsets.size(); i++) {
    const auto& subset = rule->subsets[i];
    istio::Labels selector = subset.labels;
    if (host.entry.value && host.entry->workload_selector) {
      selector.insert(host.entry->workload_selector->begin(), host.entry->workload_selector->end());
    }
    if (pods.any(selector) || has_endpoint(host, subset.labels)) continue;
    checks.add("IST0173", *rule.object, item("spec.subsets", i),
               "The Subset " + subset.name +
                   " defined in the DestinationRule does not select any pods. Which may lead to "
                   "503 UH (NoHealthyUpstream).");
  }
}

constexpr const char* targets = "spec.targetRefs";  // it selects no sidecar

void check_selector(Checks& checks, const Object& object, const std::string& field) {
  const auto labels = string_map(find(*object.node, field));
  const auto& space = object.ref->namespace_name;
  const bool policy = object.ref->kind == "AuthorizationPolicy";
  // Istio's analyzer of AuthorizationPolicies asks the pods of all namespaces, and asks for some
  // without a selector too.
  const bool asked = policy ? !checks.world.workloads().empty() && !find(*object.node, targets)
                            : !labels.empty() && has_workloads(checks.world, space);
  if (!asked) return;
  // A ServiceEntry selects WorkloadEntries too.
  if (object.ref->kind == "ServiceEntry" && checks.world.has_kind("WorkloadEntry")) return;
  if (!checks.world.selected(labels, space).empty()) return;
  // The root namespace's select in every namespace.
  const bool mesh_wide = policy && space == checks.world.mesh().root_namespace;
  const auto& all = checks.world.workloads();
  if (mesh_wide && std::any_of(all.begin(), all.end(),
                               [&](const auto& one) { return istio::selects(labels, one.labels); }))
    return;
  checks.add("IST0127", object, field,
             "No matching workloads for this resource with the following labels: " +
                 istio::text_of(labels));
}

void check_selectors(Checks& checks) {
  struct Selector {
    std::string_view kind;
    const char* field;
  };
  constexpr Selector selectors[] = {{"DestinationRule", "spec.workloadSelector.matchLabels"},
                                    {"ServiceEntry", "spec.workloadSelector.labels"},
                                    {"PeerAuthentication", "spec.selector.matchLabels"},
                                    {"AuthorizationPolicy", "spec.selector.matchLabels"},
                                    {"RequestAuthentication", "spec.selector.matchLabels"},
                                    {"Telemetry", "spec.selector.matchLabels"}};
  for (const auto& object : checks.world.objects()) {
    for (const auto& selector : selectors) {
      if (selector.kind == object.ref->kind) check_selector(checks, object, selector.field);
    }
  }
}

// Of two rules for one host only the older trafficPolicy counts.
void check_pairs(Checks& checks, const std::vector<Rule>& rules) {
  std::map<std::tuple<std::string, std::string, std::optional<istio::Labels>>, const Rule*> first;
  for (const auto& rule : rules) {
    if (!rule->traffic_policy) continue;
    const auto& space = rule->metadata.namespace_name();
    const auto [at, is_new] = first.try_emplace(
        {space, checks.world.full_name(rule->host, space), rule->workload_selector}, &rule);
    if (is_new) continue;
    checks.add("SLP0104", *rule.object, "spec.trafficPolicy",
               "the trafficPolicy for " + rule->host + " has no effect: " +
                   at->second->object->ref->text() + " has one for the same host");
  }
}

}  // namespace

void check_rules(Checks& checks) {
  const Pods pods(checks.world);
  for (const auto& rule : checks.world.all_read<istio::DestinationRule>()) {
    const auto* host =
        checks.world.destination(rule->host, rule->metadata.namespace_name(), rule->export_to);
    if (host) {
      check_subsets(checks, pods, rule, *host);
      continue;
    }
    checks.add("IST0174", *rule.object, "spec.host",
               "The host " + rule->host +
                   " defined in the DestinationRule does not match any services in the mesh.");
  }
  check_pairs(checks, checks.world.all<istio::DestinationRule>());
  check_selectors(checks);
}

}  // namespace sallyport::analyze
