// Ports that policies name: the container's are meant, and a Service's are easily written.
#include <charconv>
#include <map>
#include <set>

#include "agent/analyze/rule_values.h"
#include "agent/istio/labels.h"

namespace sallyport::analyze {
namespace {

// Those that connections come in at, and those of Services that lead to others of the pods.
struct PolicyPorts {
  std::set<uint16_t> of_pods;
  std::map<uint16_t, uint16_t> of_services;  // what they lead to; 0: not known
};

class PolicyPortChecks {
public:
  explicit PolicyPortChecks(Checks& checks)
      : checks_(checks), sidecars_(checks.world.all<istio::Sidecar>()) {
    for (const auto& host : checks.world.hosts()) hosts_.emplace(host.namespace_name(), &host);
  }

  void look_at(const Typed<istio::PeerAuthentication>& policy);
  void look_at(const Typed<istio::AuthorizationPolicy>& policy);

private:
  void add(const Workload& pod, PolicyPorts& ports) const;
  PolicyPorts of(const istio::Labels& selector, const std::string& space) const;
  void tell(const Object& policy, const PolicyPorts& known, uint16_t number,
            const std::string& field, const std::string& why);

  Checks& checks_;
  std::vector<Typed<istio::Sidecar>> sidecars_;
  std::multimap<std::string, const Host*, std::less<>> hosts_;  // by namespace
};

void PolicyPortChecks::add(const Workload& pod, PolicyPorts& ports) const {
  for (const auto& port : container_ports(pod)) ports.of_pods.insert(port.number);
  const auto& space = pod.ref->namespace_name;
  const auto [first, last] = hosts_.equal_range(space);
  for (auto at = first; at != last; ++at) {
    const auto& host = *at->second;
    const bool of_service = host.service.value != nullptr;
    const istio::Labels selector = of_service
                                       ? host.service->selector
                                       : host.entry->workload_selector.value_or(istio::Labels());
    if (selector.empty() || !istio::selects(selector, pod.labels)) continue;
    for (const auto& port : host.ports()) {
      const auto number = container_port(port, pod);
      if (number != 0) ports.of_pods.insert(number);
      if (of_service) ports.of_services.try_emplace(port.number, number);
    }
  }
  // A Sidecar's ingress listener takes what comes in at its own port, whatever it leads to.
  for (const auto& sidecar : sidecars_) {
    const bool ours =
        sidecar->metadata.namespace_name() == space &&
        istio::selects(sidecar->workload_selector.value_or(istio::Labels()), pod.labels);
    if (!ours) continue;
    for (const auto& listener : sidecar->ingress) ports.of_pods.insert(listener.port.number);
  }
}

// In the root namespace a selector selects anywhere.
PolicyPorts PolicyPortChecks::of(const istio::Labels& selector, const std::string& space) const {
  PolicyPorts out;
  const auto& world = checks_.world;
  if (space != world.mesh().root_namespace) {
    for (const auto* pod : world.selected(selector, space)) add(*pod, out);
    return out;
  }
  for (const auto& pod : world.workloads())
    if (istio::selects(selector, pod.labels)) add(pod, out);
  return out;
}

void PolicyPortChecks::tell(const Object& policy, const PolicyPorts& known, uint16_t number,
                            const std::string& field, const std::string& why) {
  const auto at = known.of_services.find(number);
  if (known.of_pods.contains(number) || at == known.of_services.end()) return;
  checks_.add("SLP0703", policy, field,
              "port " + std::to_string(number) +
                  " is a Service's, and no container of the selected pods has it: " + why,
              at->second ? "write " + std::to_string(at->second) + ", its targetPort" : "");
}

void PolicyPortChecks::look_at(const Typed<istio::PeerAuthentication>& policy) {
  const auto& space = policy->metadata.namespace_name();
  if (!policy->selector || policy->port_modes.empty()) return;
  PolicyPorts known;
  for (const auto* pod : checks_.world.selected(*policy->selector, space)) add(*pod, known);
  for (const auto& [number, mode] : policy->port_modes)
    tell(*policy.object, known, number, "spec.portLevelMtls." + std::to_string(number),
         "portLevelMtls goes by the container's port, so that this has no effect");
}

void PolicyPortChecks::look_at(const Typed<istio::AuthorizationPolicy>& policy) {
  if (policy->has_target_refs) return;
  std::vector<std::pair<uint16_t, std::string>> named;
  const auto add_named = [&](const std::string& value, std::string field) {
    uint16_t number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    named.emplace_back(number, std::move(field));
  };
  each_operation(*policy.value, [&](const istio::RuleOperation& operation, const std::string& at) {
    each_value(operation.ports, at, "ports", "notPorts", add_named);
  });
  each_condition(*policy.value, "destination.port",
                 [&](const istio::RuleValues& values, const std::string& at) {
                   each_value(values, at, "values", "notValues", add_named);
                 });
  if (named.empty()) return;
  const auto known =
      of(policy->selector.value_or(istio::Labels()), policy->metadata.namespace_name());
  for (const auto& [number, field] : named)
    tell(*policy.object, known, number, field,
         "a rule's ports are the container's, so that this matches no connection");
}

}  // namespace

void check_policy_ports(Checks& checks) {
  PolicyPortChecks ports(checks);
  for (const auto& policy : checks.world.all<istio::PeerAuthentication>()) ports.look_at(policy);
  for (const auto& policy : checks.world.all<istio::AuthorizationPolicy>()) ports.look_at(policy);
}

}  // namespace sallyport::analyze
