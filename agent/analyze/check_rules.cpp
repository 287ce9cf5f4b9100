// DestinationRules: whom they are for, and which of them is without effect.
#include <algorithm>

#include "agent/analyze/checks.h"
#include "agent/mesh/host_names.h"

namespace sallyport::analyze {
namespace {

using Rule = Typed<istio::DestinationRule>;

std::vector<const Host*> hosts_of(const World& world, const Rule& rule) {
  const auto& from = rule->metadata.namespace_name;
  const auto name = world.full_name(rule->host, from);
  auto out = world.hosts_under(name, from);
  if (out.empty()) out = world.hosts_called(name, from);
  return out;
}

bool has_workloads(const World& world, const std::string& namespace_name) {
  return std::any_of(world.workloads().begin(), world.workloads().end(),
                     [&](const auto& one) { return one.ref->namespace_name == namespace_name; });
}

// Whether the service has anything with these labels; true where that can't be known.
bool has_endpoints(const World& world, const Host& host, const istio::Labels& labels) {
  if (host.entry.value) {
    if (host.entry->endpoints.empty()) return true;
    return std::any_of(host.entry->endpoints.begin(), host.entry->endpoints.end(),
                       [&](const auto& endpoint) { return selects(labels, endpoint.labels); });
  }
  const auto& space = host.namespace_name();
  if (!has_workloads(world, space) || host.service->selector.empty()) return true;
  const auto pods = world.selected(host.service->selector, space);
  return std::any_of(pods.begin(), pods.end(),
                     [&](const auto* pod) { return selects(labels, pod->labels); });
}

void check_subsets(Checks& checks, const Rule& rule, const std::vector<const Host*>& hosts) {
  for (std::size_t i = 0; i < rule->subsets.size(); i++) {
    const auto& subset = rule->subsets[i];
    const bool any = std::any_of(hosts.begin(), hosts.end(), [&](const auto* host) {
      return has_endpoints(checks.world, *host, subset.labels);
    });
    if (any || hosts.empty()) continue;
    checks.add("IST0173", *rule.object, item("spec.subsets", i),
               "The Subset " + subset.name +
                   " defined in the DestinationRule does not select any pods (labels " +
                   text_of(subset.labels) + " of " + rule->host + ").");
  }
}

void check_selector(Checks& checks, const Object& object, const std::string& field) {
  const auto labels = string_map(find(*object.node, field));
  const auto& space = object.ref->namespace_name;
  if (labels.empty() || !has_workloads(checks.world, space)) return;
  // A ServiceEntry selects WorkloadEntries too.
  if (object.ref->kind == "ServiceEntry" && checks.world.has_kind("WorkloadEntry")) return;
  if (!checks.world.selected(labels, space).empty()) return;
  checks.add(
      "IST0127", object, field,
      "No matching workloads for this resource with the following labels: " + text_of(labels));
}

void check_selectors(Checks& checks) {
  struct Selector {
    std::string_view kind;
    const char* field;
  };
  constexpr Selector selectors[] = {{"DestinationRule", "spec.workloadSelector.matchLabels"},
                                    {"ServiceEntry", "spec.workloadSelector.labels"},
                                    {"Sidecar", "spec.workloadSelector.labels"},
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
  const auto& world = checks.world;
  for (std::size_t i = 0; i < rules.size(); i++) {
    for (std::size_t j = i + 1; j < rules.size(); j++) {
      const auto &a = rules[i], &b = rules[j];
      const auto& space = a->metadata.namespace_name;
      if (space != b->metadata.namespace_name || !a->traffic_policy || !b->traffic_policy ||
          a->workload_selector != b->workload_selector ||
          world.full_name(a->host, space) != world.full_name(b->host, space))
        continue;
      checks.add("SLP0104", *b.object, "spec.trafficPolicy",
                 "the trafficPolicy for " + b->host + " has no effect: " + a.object->ref->text() +
                     " has one for the same host");
    }
  }
}

}  // namespace

void check_rules(Checks& checks) {
  const auto rules = checks.world.all<istio::DestinationRule>();
  for (const auto& rule : rules) {
    const auto hosts = hosts_of(checks.world, rule);
    if (hosts.empty()) {
      checks.add("IST0174", *rule.object, "spec.host",
                 "The host " + rule->host +
                     " defined in the DestinationRule does not match any services in the mesh.");
    }
    check_subsets(checks, rule, hosts);
  }
  check_pairs(checks, rules);
  check_selectors(checks);
}

}  // namespace sallyport::analyze
