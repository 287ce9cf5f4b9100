// Who meets STRICT without having a certificate to show: clients where nothing makes them speak
// mutual TLS, and the kubelet's probes.
#include <algorithm>
#include <charconv>

#include "agent/analyze/checks.h"
#include "agent/istio/scalar.h"
#include "agent/mesh/peer_authentication.h"

namespace sallyport::analyze {
namespace {

class StrictPorts {
public:
  explicit StrictPorts(const World& world) : input_(world.input_for({})), policies_(input_) {}

  // "STRICT by PeerAuthentication foo/p (f.yaml:1)"; empty: plaintext is taken, or nobody is let
  // in, of which others tell.
  std::string at(const std::string& space, const istio::Labels& labels, uint16_t port) const {
    const auto choice = policies_.of_workload(space, labels, port);
    if (choice.mode != istio::MutualTls::strict || choice.refused) return {};
    return "STRICT by " + (choice.from ? choice.from->text() : std::string("default"));
  }

private:
  mesh::CompileInput input_;
  mesh::PeerAuthentications policies_;
};

// Any tls that some client may go by: whether it fits is looked at block by block.
bool has_rule_for_tls(const World& world, const Host& host, const istio::ServicePort& port) {
  const auto effective = effective_tls(world, host, port);
  const auto rules = world.rules_for(host.name);
  return std::any_of(effective.begin(), effective.end(),
                     [](const Effective& one) { return one.tls != nullptr; }) ||
         std::any_of(rules.begin(), rules.end(), [](const auto& rule) {
           const auto& subsets = rule->subsets;
           return std::any_of(subsets.begin(), subsets.end(), [](const auto& subset) {
             return subset.traffic_policy && subset.traffic_policy->tls;
           });
         });
}

// Once a Service is enough.
void check_senders(Checks& checks, const StrictPorts& strict, const Host& host) {
  const auto& world = checks.world;
  const auto& space = host.namespace_name();
  for (std::size_t i = 0; i < host.ports().size(); i++) {
    const auto& port = host.ports()[i];
    if (has_rule_for_tls(world, host, port)) continue;
    for (const auto* pod : world.selected(host.service->selector, space)) {
      if (!world.why_no_sidecar(*pod).empty()) continue;
      const auto number = container_port(port, *pod);
      const auto why = strict.at(space, pod->labels, number);
      if (why.empty() || !captures_inbound(*pod, number)) continue;
      checks.add("SLP0212", *host.service.object, item("spec.ports", i),
                 "clients send plaintext to port " + std::to_string(port.number) + " of " +
                     host.name +
                     ", for enableAutoMtls is false and no DestinationRule has tls for "
                     "it, but " +
                     pod->ref->text() + " takes mutual TLS alone (" + why +
                     "): every connection is reset");
      return;
    }
  }
}

// Of a probe's httpGet, tcpSocket or grpc; 0: not known, or not of this pod.
uint16_t probed_port(const Workload& workload, const istio::Node& action) {
  if (!scalar(action.find("host")).empty()) return 0;
  const auto text = scalar(action.find("port"));
  uint16_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  if (number != 0) return number;
  for (const auto& one : container_ports(workload))
    if (one.name == text) return one.number;
  return 0;
}

void check_container(Checks& checks, const StrictPorts& strict, const Workload& workload,
                     const std::string& field) {
  const auto& ref = *workload.ref;
  const auto* object = checks.world.find(ref.kind, ref.namespace_name, ref.name);
  if (!object || !object->node) return;
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    for (const char* kind : {"httpGet", "tcpSocket", "grpc"}) {
      const auto at = field + "." + probe + "." + kind;
      const auto* action = find(*object->node, at);
      if (!action || action->kind != istio::Node::Kind::mapping) continue;
      const auto port = probed_port(workload, *action);
      if (port == 0 || !captures_inbound(workload, port)) continue;
      const auto why = strict.at(ref.namespace_name, workload.labels, port);
      if (why.empty()) continue;
      checks.add("SLP0601", *object, at,
                 "the kubelet probes port " + std::to_string(port) +
                     " without a certificate of the mesh, and probes are not rewritten here: the "
                     "sidecar refuses them (" +
                     why + ")");
    }
  }
}

void check_probes(Checks& checks, const StrictPorts& strict, const Workload& workload) {
  const auto given = workload.annotations.find("sidecar.istio.io/rewriteAppHTTPProbers");
  const bool rewrites = given == workload.annotations.end() ||
                        istio::go_boolean(given->second) != std::optional(false);
  if (rewrites || !workload.pod || !checks.world.why_no_sidecar(workload).empty()) return;
  for (const char* list : {"spec.containers", "spec.initContainers"}) {
    const auto* all = find(*workload.pod, list);
    if (!all || all->kind != istio::Node::Kind::sequence) continue;
    for (std::size_t i = 0; i < all->entries.size(); i++) {
      const auto& container = *all->entries[i].value;
      if (container.kind != istio::Node::Kind::mapping ||
          scalar(container.find("name")) == "istio-proxy")
        continue;
      check_container(checks, strict, workload,
                      (workload.path.empty() ? "" : workload.path + ".") + item(list, i));
    }
  }
}

}  // namespace

void check_strict(Checks& checks) {
  const StrictPorts strict(checks.world);
  if (!checks.world.mesh().enable_auto_mtls) {
    for (const auto& host : checks.world.hosts())
      if (host.service.value && !host.service->selector.empty())
        check_senders(checks, strict, host);
  }
  for (const auto& workload : checks.world.workloads()) check_probes(checks, strict, workload);
}

}  // namespace sallyport::analyze
