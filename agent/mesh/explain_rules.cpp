// Why a DestinationRule does not decide for a cluster: rule_choice.cpp chose, this says what it
// went by.
#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/explain.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

bool covers(std::string_view rule_host, std::string_view host) {
  if (!is_wildcard(rule_host)) return rule_host == host;
  return host.size() > rule_host.size() - 1 && host.ends_with(rule_host.substr(1));
}

class Reasons {
public:
  Reasons(const CompileInput& input, const Cluster& cluster)
      : input_(input),
        here_(input.proxy.namespace_name),
        theirs_(cluster.service ? cluster.service->namespace_name : "") {
    for (const auto& resource : input.resources) {
      const auto* rule = std::get_if<istio::DestinationRule>(resource.get());
      if (rule && cluster.rule && *rule->metadata.ref == *cluster.rule) chosen_ = rule;
    }
  }
  std::string why_not(const istio::DestinationRule& rule) const;
  std::string host_of(const istio::DestinationRule& rule) const {
    return expand_short_name(rule.host, rule.metadata.namespace_name(), input_.mesh.cluster_domain);
  }
  bool is_chosen(const istio::DestinationRule& rule) const { return &rule == chosen_; }

private:
  int place(const std::string& name) const {
    return name == here_ ? 0 : name == theirs_ ? 1 : name == input_.mesh.root_namespace ? 2 : 3;
  }
  std::string not_seen(const istio::DestinationRule& rule) const;

  const CompileInput& input_;
  const std::string &here_, theirs_;
  const istio::DestinationRule* chosen_ = nullptr;
};

std::string Reasons::not_seen(const istio::DestinationRule& rule) const {
  const auto& from = rule.metadata.namespace_name();
  if (rule.workload_selector && from != here_) {
    return "its workloadSelector selects proxies of its own namespace " + from + " only";
  }
  const auto& usual = input_.mesh.default_destination_rule_export_to;
  if (!exported(rule.export_to, from == here_ ? std::vector<std::string>{} : usual, from, here_)) {
    return "its exportTo does not reach namespace " + here_;
  }
  if (place(from) == 3) {
    return "namespace " + from + " is not asked: the client's (" + here_ + "), the service's (" +
           theirs_ + ") and the root namespace (" + input_.mesh.root_namespace + ") are";
  }
  if (rule.workload_selector && !istio::selects(*rule.workload_selector, input_.proxy.labels)) {
    const auto labels = istio::text_of(input_.proxy.labels);
    return "its workloadSelector " + istio::text_of(*rule.workload_selector) +
           " does not select this proxy (labels: " + (labels.empty() ? "none" : labels) + ")";
  }
  return {};
}

std::string Reasons::why_not(const istio::DestinationRule& rule) const {
  if (auto why = not_seen(rule); !why.empty()) return why;
  if (!chosen_) return "it takes no part here";
  const auto& other = chosen_->metadata;
  if (place(rule.metadata.namespace_name()) > place(other.namespace_name())) {
    return "namespace " + other.namespace_name() + ", which is asked before, has a rule";
  }
  const auto mine = host_of(rule), theirs = host_of(*chosen_);
  if (mine != theirs) return "its host " + mine + " is less specific than " + theirs;
  if (chosen_->workload_selector && !rule.workload_selector) {
    return "a rule whose workloadSelector selects this proxy goes before one without";
  }
  return "an older rule for the same host has the trafficPolicy; of this one only subsets count";
}

}  // namespace

std::vector<std::string> rules_not_chosen(const CompileInput& input, const Cluster& cluster) {
  std::vector<std::string> out;
  if (!cluster.service && !cluster.refused) return out;
  const Reasons reasons(input, cluster);
  for (const auto& resource : input.resources) {
    const auto* rule = std::get_if<istio::DestinationRule>(resource.get());
    if (!rule || reasons.is_chosen(*rule) || !covers(reasons.host_of(*rule), cluster.host))
      continue;
    out.push_back(rule->metadata.ref->text() + " is not used: " + reasons.why_not(*rule));
  }
  return out;
}

}  // namespace sallyport::mesh
