#include "agent/mesh/rule_choice.h"

#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

// A wildcard service (`*.a.example`) is found under its own wildcard or a wider one.
template <class T>
const T* find_host(const HostTable<T>& table, std::string_view host) {
  if (!is_wildcard(host)) return table.find(host);
  const auto suffix = host.substr(1);
  for (std::size_t i = 0; i <= suffix.size(); i++) {
    if (const auto at = table.suffix.find(suffix.substr(i)); at != table.suffix.end())
      return &at->second;
  }
  return nullptr;
}

void add_subset(RuleChoice& out, SubsetChoice next) {
  const bool taken = std::any_of(out.subsets.begin(), out.subsets.end(), [&](const auto& one) {
    return one.subset->name == next.subset->name;
  });
  if (!taken) out.subsets.push_back(next);
}

// Blocks that are given replace those that `out` has.
template <class Policy>
void take_blocks(const Policy& from, const istio::DestinationRule* rule, PortRules& out) {
  if (from.load_balancer) out.load_balancer = &*from.load_balancer;
  if (from.connection_pool) out.connection_pool = &*from.connection_pool;
  if (from.outlier_detection) out.outlier_detection = &*from.outlier_detection;
  if (!from.tls) return;
  out.tls = &*from.tls;
  out.tls_rule = rule;
}

void take(const istio::TrafficPolicy& policy, const istio::DestinationRule* rule, uint16_t port,
          PortRules& out) {
  for (const auto& entry : policy.port_level_settings) {
    if (entry.port != port) continue;
    // Of the host's, where this is a subset's entry, it leaves what no port can say (Istio's
    // GetPortLevelTrafficPolicy and MergeTrafficPolicy).
    out = {
        .retry_budget = out.retry_budget, .proxy_protocol = out.proxy_protocol, .tls_rule = rule};
    return take_blocks(entry, rule, out);
  }
  take_blocks(policy, rule, out);
  if (policy.retry_budget) out.retry_budget = &*policy.retry_budget;
  if (policy.proxy_protocol) out.proxy_protocol = policy.proxy_protocol;
}

bool private_only(const istio::DestinationRule& rule) {
  return rule.export_to.size() == 1 && rule.export_to.front() == ".";
}

}  // namespace

PortRules rules_for_port(const istio::DestinationRule* rule, const SubsetChoice* subset,
                         uint16_t service_port) {
  PortRules out;
  out.tls_rule = rule;
  if (rule && rule->traffic_policy) take(*rule->traffic_policy, rule, service_port, out);
  if (subset && subset->subset->traffic_policy)
    take(*subset->subset->traffic_policy, subset->rule, service_port, out);
  return out;
}

RuleIndex::RuleIndex(const CompileInput& input) : input_(input) {
  for (const auto& resource : input.resources) {
    if (const auto* rule = std::get_if<istio::DestinationRule>(resource.get())) add_rule(*rule);
  }
  for (const auto& refused : input.refused) {
    if (refused.kind == "DestinationRule") add_broken(refused);
  }
}

void RuleIndex::add(Scope& scope, std::string_view host) {
  if (!is_wildcard(host)) {
    auto at = scope.exact.find(host);
    if (at == scope.exact.end()) at = scope.exact.try_emplace(std::string(host)).first;
    at->second.push_back(static_cast<uint32_t>(rules_.size() - 1));
    return;
  }
  add_host(scope, host, {});
  scope.suffix.find(host.substr(1))->second.push_back(static_cast<uint32_t>(rules_.size() - 1));
}

void RuleIndex::add_rule(const istio::DestinationRule& rule) {
  const auto& from = rule.metadata.namespace_name();
  const auto& here = input_.proxy.namespace_name;
  const auto& root = input_.mesh.root_namespace;
  // A selector selects proxies of the rule's own namespace; elsewhere the rule does not exist.
  if (rule.workload_selector && from != here) return;
  const bool own = from == here && (exported(rule.export_to, {}, from, here)) &&
                   (here != root || private_only(rule));
  const bool others =
      exported(rule.export_to, input_.mesh.default_destination_rule_export_to, from, here) &&
      !private_only(rule);
  rules_.push_back({&rule, nullptr});
  const auto host = expand_short_name(rule.host, from, input_.mesh.cluster_domain);
  if (host.empty() || (!own && !others)) return;
  // The client's own namespace is asked first: what it has need not be found a second time.
  add(own ? own_ : exported_[from], host);
}

void RuleIndex::add_broken(const istio::Refused& refused) {
  const auto& from = refused.namespace_name;
  for (const auto& name : refused.hosts) {
    const auto host = expand_short_name(name, from, input_.mesh.cluster_domain);
    if (host.empty()) continue;
    rules_.push_back({nullptr, &refused});
    add(from == input_.proxy.namespace_name ? own_ : exported_[from], host);
  }
}

const RuleIndex::Candidates* RuleIndex::candidates_for(const KnownService& service) const {
  if (const auto* found = find_host(own_, service.host)) return found;
  for (const auto* from : {&service.metadata->namespace_name(), &input_.mesh.root_namespace}) {
    const auto scope = exported_.find(*from);
    if (scope == exported_.end()) continue;
    if (const auto* found = find_host(scope->second, service.host)) return found;
  }
  return nullptr;
}

bool RuleIndex::selects(const istio::DestinationRule& rule) const {
  return istio::selects(*rule.workload_selector, input_.proxy.labels);
}

RuleChoice RuleIndex::choose(const KnownService& service) {
  RuleChoice out;
  const auto* candidates = candidates_for(service);
  if (!candidates) return out;
  const istio::Labels* selector = nullptr;  // of the oldest rule that selects this proxy
  for (const auto place : *candidates) {
    auto& candidate = rules_[place];
    candidate.asked = true;
    if (candidate.broken && !out.broken) out.broken = candidate.broken;
    if (candidate.rule && candidate.rule->workload_selector && !selector &&
        selects(*candidate.rule)) {
      selector = &*candidate.rule->workload_selector;
    }
  }
  // Rules of one group merge: the oldest trafficPolicy counts.
  for (const auto place : *candidates) {
    const auto* rule = rules_[place].rule;
    if (!rule) continue;
    const bool in_group =
        selector ? rule->workload_selector == *selector : !rule->workload_selector;
    if (!in_group) continue;
    if (!out.rule || (!out.rule->traffic_policy && rule->traffic_policy)) out.rule = rule;
    for (const auto& subset : rule->subsets) add_subset(out, {&subset, rule});
  }
  return out;
}

std::vector<const istio::DestinationRule*> RuleIndex::unused() const {
  std::vector<const istio::DestinationRule*> out;
  for (const auto& [rule, broken, asked] : rules_) {
    if (!rule || asked || rule->metadata.namespace_name() != input_.proxy.namespace_name) continue;
    if (!rule->workload_selector || selects(*rule)) out.push_back(rule);
  }
  return out;
}

std::vector<const istio::Refused*> RuleIndex::unused_broken() const {
  std::vector<const istio::Refused*> out;
  for (const auto& [rule, broken, asked] : rules_) {
    if (!broken || asked) continue;
    const auto& from = broken->namespace_name;
    const bool asked_here =
        from == input_.proxy.namespace_name || from == input_.mesh.root_namespace;
    // One of several hosts is a line of its own here, and closed once.
    if (asked_here && (out.empty() || out.back() != broken)) out.push_back(broken);
  }
  return out;
}

}  // namespace sallyport::mesh
