// DestinationRule (istio-api.md 1.3).
#include <set>

#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

Subset decode_subset(Fields& fields) {
  Subset subset;
  subset.line = fields.line();
  subset.name = fields.text("name");
  if (!is_dns_label(subset.name)) {
    fields.error("name", "subset name is invalid: " + quoted(subset.name));
  }
  subset.labels = fields.labels("labels");
  check_labels(fields, "labels", subset.labels);
  fields.object("trafficPolicy",
                [&](Fields& policy) { subset.traffic_policy = decode_traffic_policy(policy); });
  return subset;
}

void read_subsets(DestinationRule& rule, Fields& spec) {
  std::set<std::string> names;
  spec.each("subsets", [&](Fields& fields) {
    rule.subsets.push_back(decode_subset(fields));
    const auto& name = rule.subsets.back().name;
    if (!names.insert(name).second) fields.error("name", "duplicate subset names: " + name);
  });
}

void check_export_to(const DestinationRule& rule, Fields& spec) {
  const Exported exported{.namespace_name = rule.metadata.namespace_name(),
                          .has_selector = rule.workload_selector.has_value()};
  if (auto problem = export_to_problem(rule.export_to, exported)) spec.error("exportTo", *problem);
}

void check_credential(const Boxed<ClientTls>& given, const DestinationRule& rule, Fields& spec) {
  if (!given) return;
  const ClientTls& tls = *given;
  constexpr std::string_view prefix = "configmap://";
  if (!tls.credential_name.starts_with(prefix)) return;
  const std::string_view rest = std::string_view(tls.credential_name).substr(prefix.size());
  const std::size_t slash = rest.find('/');
  const bool own = slash != std::string_view::npos && slash + 1 < rest.size() &&
                   rest.substr(0, slash) == rule.metadata.namespace_name();
  if (own) return;
  if (slash == std::string_view::npos) {
    return spec.report().error(tls.line, spec.path_of("trafficPolicy"),
                               "invalid configmap:// credentialName: the form is "
                               "configmap://NAMESPACE/NAME; namespace must match the configuration "
                               "namespace " +
                                   quoted(rule.metadata.namespace_name()));
  }
  spec.report().error(tls.line, spec.path_of("trafficPolicy"),
                      "invalid configmap:// credentialName: namespace must match the configuration "
                      "namespace " +
                          quoted(rule.metadata.namespace_name()));
}

void check_credentials(const Boxed<TrafficPolicy>& policy, const DestinationRule& rule,
                       Fields& spec) {
  if (!policy) return;
  check_credential(policy->tls, rule, spec);
  for (const PortPolicy& port : policy->port_level_settings) check_credential(port.tls, rule, spec);
}

void decode_spec(DestinationRule& rule, Fields& spec) {
  rule.host = lower_case(spec.text("host"));
  if (auto problem = wildcard_domain_problem(rule.host)) spec.error("host", *problem);
  spec.object("trafficPolicy",
              [&](Fields& policy) { rule.traffic_policy = decode_traffic_policy(policy); });
  rule.export_to = spec.texts("exportTo");
  spec.object("workloadSelector", [&](Fields& selector) {
    rule.workload_selector = decode_selector(selector, "matchLabels");
  });
  read_subsets(rule, spec);
  check_export_to(rule, spec);
  check_credentials(rule.traffic_policy, rule, spec);
  for (const Subset& subset : rule.subsets) check_credentials(subset.traffic_policy, rule, spec);
}

}  // namespace

DestinationRule decode_destination_rule(Metadata metadata, Fields& document) {
  DestinationRule rule;
  rule.metadata = std::move(metadata);
  if (!document.object("spec", [&](Fields& spec) { decode_spec(rule, spec); })) {
    document.error("spec", "required");
  }
  document.ignore({"status"});
  return rule;
}

}  // namespace sallyport::istio
