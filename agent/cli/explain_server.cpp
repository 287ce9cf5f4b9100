#include "agent/cli/explain_server.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "agent/core/spiffe.h"
#include "agent/mesh/explain_inbound.h"

namespace sallyport::cli {
namespace {

// The container's port that the pod's template calls so; 0: none.
uint16_t named_port(const analyze::Workload& workload, const std::string& name) {
  const auto* containers = workload.pod ? analyze::find(*workload.pod, "spec.containers") : nullptr;
  if (!containers) return 0;
  for (const auto& container : containers->entries) {
    const auto* ports = container.value->find("ports");
    if (!ports) continue;
    for (const auto& port : ports->entries) {
      if (analyze::scalar(port.value->find("name")) != name) continue;
      const auto number = analyze::scalar(port.value->find("containerPort"));
      uint16_t out = 0;
      std::from_chars(number.data(), number.data() + number.size(), out);
      return out;
    }
  }
  return 0;
}

uint16_t container_port(const istio::ServicePort& port, const analyze::Workload& workload) {
  if (!port.target_port_name.empty()) return named_port(workload, port.target_port_name);
  return port.target_port ? port.target_port : port.number;
}

bool speaks_mutual_tls(const mesh::Cluster& cluster) {
  if (cluster.tls.mode != mesh::Originate::istio_mutual) return false;
  return !cluster.tls.automatic ||
         std::any_of(cluster.endpoints.begin(), cluster.endpoints.end(),
                     [](const mesh::Endpoint& one) { return one.mesh_tls; });
}

struct Server {
  const analyze::Workload& workload;
  uint16_t port = 0;
};

// One of each kind: pods of one template say the same.
std::vector<Server> servers_of(const mesh::Cluster& cluster, const analyze::World& world,
                               const std::string& from) {
  std::vector<Server> out;
  std::set<istio::Labels> told;
  for (const auto* host : world.hosts_called(cluster.host, from)) {
    if (!host->service.value || host->service->selector.empty()) continue;
    for (const auto& port : host->ports()) {
      if (port.number != cluster.port) continue;
      for (const auto* workload : world.selected(host->service->selector, host->namespace_name())) {
        const bool has_sidecar = !workload->refuses_sidecar && !workload->host_network;
        if (has_sidecar && told.insert(workload->labels).second)
          out.push_back({*workload, container_port(port, *workload)});
      }
    }
  }
  return out;
}

}  // namespace

void explain_servers(mesh::ExplainedTarget& target, const analyze::World& world,
                     const mesh::CompileInput& input, const mesh::Question& question) {
  if (!target.cluster || !target.refused.empty()) return;
  const mesh::Cluster& cluster = *target.cluster;
  const istio::Proxy& client = input.proxy;
  mesh::InboundQuestion asked;
  asked.mutual_tls = speaks_mutual_tls(cluster);
  asked.principal =
      SpiffeId{input.mesh.trust_domain, client.namespace_name, client.service_account}.text();
  asked.sni = cluster.tls.sni;
  asked.request = question.request;
  for (const auto& [workload, port] : servers_of(cluster, world, client.namespace_name)) {
    auto theirs = input;
    theirs.proxy = {};
    theirs.proxy.name = workload.ref->name;
    theirs.proxy.namespace_name = workload.ref->namespace_name;
    theirs.proxy.service_account = workload.service_account;
    theirs.proxy.labels = workload.labels;
    asked.port = port;
    auto told = mesh::explain_inbound(theirs, asked);
    const std::string name = theirs.proxy.namespace_name + '/' + theirs.proxy.name;
    for (auto& step : told.steps) {
      step.text = name + ": " + step.text;
      target.steps.push_back(std::move(step));
    }
    if (!told.refused.empty() && target.refused.empty())
      target.refused = "by the server's sidecar, " + name + ": " + told.refused;
  }
}

}  // namespace sallyport::cli
