// Gateways and the pods that serve them: whether there are any, and whether a Service leads to
// their ports (istio/istio:pkg/config/analysis/analyzers/gateway/gateway.go).
#include "agent/analyze/checks.h"
#include "agent/istio/labels.h"

namespace sallyport::analyze {
namespace {

using Pods = std::vector<const Workload*>;

// The ports of Services that select one of the pods, and where they lead.
std::set<uint16_t> ports_of_services(const World& world, const Pods& pods) {
  std::set<uint16_t> out;
  for (const auto& service : world.all<istio::Service>()) {
    if (service->selector.empty()) continue;
    for (const auto* pod : pods) {
      if (pod->ref->namespace_name != service->metadata.namespace_name()) continue;
      if (!istio::selects(service->selector, pod->labels)) continue;
      for (const auto& port : service->ports) {
        out.insert(port.number);
        out.insert(container_port(port, *pod));
      }
    }
  }
  return out;
}

void check_ports(Checks& checks, const Typed<istio::Gateway>& gateway, const Pods& pods) {
  const auto known = ports_of_services(checks.world, pods);
  for (std::size_t i = 0; i < gateway->servers.size(); i++) {
    const auto port = gateway->servers[i].port;
    if (port == 0 || known.contains(port)) continue;
    checks.add("IST0162", *gateway.object, item("spec.servers", i) + ".port.number",
               "The gateway is listening on a target port (port " + std::to_string(port) +
                   ") that is not defined in the Service associated with its workload instances "
                   "(Pod selector " +
                   istio::text_of(gateway->selector) +
                   "). If you need to access the gateway port through the gateway Service, it will "
                   "not be available.");
  }
}

}  // namespace

std::vector<const Workload*> serving_pods(const World& world, const istio::Gateway& gateway) {
  Pods out;
  if (gateway.selector.empty()) return out;
  for (const auto& workload : world.workloads())
    if (istio::selects(gateway.selector, workload.labels)) out.push_back(&workload);
  return out;
}

void check_gateway_workloads(Checks& checks) {
  const auto& world = checks.world;
  if (world.workloads().empty()) return;  // they are elsewhere
  for (const auto& gateway : world.all_read<istio::Gateway>()) {
    if (gateway->selector.empty()) continue;
    const auto pods = serving_pods(world, *gateway.value);
    if (pods.empty()) {
      checks.add("IST0101", *gateway.object, "spec.selector",
                 "Referenced selector not found: \"" + istio::text_of(gateway->selector) + "\"",
                 "correct the labels of the selector or of the gateway's pods");
    } else if (world.has_kind("Service")) {
      check_ports(checks, gateway, pods);
    }
  }
}

}  // namespace sallyport::analyze
