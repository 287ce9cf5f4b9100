#include "agent/cli/explain_server.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "agent/core/spiffe.h"
#include "agent/mesh/explain_inbound.h"
#include "agent/mesh/peer_authentication.h"

namespace sallyport::cli {
namespace {

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

using Servers = std::vector<Server>;

void add_selected(const istio::Service& service, uint16_t number, const analyze::World& world,
                  Servers& out) {
  if (service.selector.empty()) return;
  for (const auto& port : service.ports) {
    if (port.number != number) continue;
    for (const auto* workload : world.selected(service.selector, service.metadata.namespace_name()))
      out.push_back({*workload, analyze::container_port(port, *workload)});
  }
}

Servers servers_of(const mesh::Cluster& cluster, const analyze::World& world,
                   const std::string& from) {
  Servers out;
  for (const auto* host : world.hosts_called(cluster.host, from))
    if (host->service.value) add_selected(*host->service.value, cluster.port, world, out);
  return out;
}

bool has(const std::vector<std::string>& addresses, const IpAddress& ip) {
  return std::find(addresses.begin(), addresses.end(), ip.text()) != addresses.end();
}

// Who has that address: a Pod, or those behind a Service.
Servers servers_at(const SocketAddress& to, const analyze::World& world,
                   const mesh::Resources& resources) {
  Servers out;
  for (const auto& resource : resources) {
    if (const auto* service = std::get_if<istio::Service>(resource.get())) {
      if (has(service->cluster_ips, to.ip())) add_selected(*service, to.port(), world, out);
      continue;
    }
    const auto* pod = std::get_if<istio::Pod>(resource.get());
    if (!pod || !has(pod->ips, to.ip())) continue;
    for (const auto& workload : world.workloads())
      if (*workload.ref == *pod->metadata.ref) out.push_back({workload, to.port()});
  }
  return out;
}

istio::Proxy proxy_of(const analyze::Workload& workload) {
  istio::Proxy out;
  out.name = workload.ref->name;
  out.namespace_name = workload.ref->namespace_name;
  out.service_account = workload.service_account;
  out.labels = workload.labels;
  return out;
}

SocketAddress client_address(const istio::Proxy& client) {
  for (const auto& text : client.addresses)
    if (const auto ip = IpAddress::parse(text)) return {*ip, 0};
  return {};
}

class ServerSide {
public:
  ServerSide(const analyze::World& world, const mesh::CompileInput& input,
             const mesh::Question& question)
      : world_(world), input_(input), policies_(input) {
    const auto& client = input.proxy;
    asked_.principal =
        SpiffeId{input.mesh.trust_domain, client.namespace_name, client.service_account}.text();
    asked_.client = client_address(client);
    asked_.request = question.request;
  }
  // One of each kind: pods of one template say the same.
  void ask(const Servers& servers);
  // The client's sidecar speaks mutual TLS to those that take it; `all`: whether they do or not.
  void mutual_tls(const std::string& sni, bool all) {
    mutual_ = true;
    to_all_ = all;
    asked_.sni = sni;
  }
  DirectAnswer take() { return std::move(out_); }

private:
  void ask(const Server& server, const std::string& name);
  void past_sidecar(const Server& server, const std::string& name);
  bool sends_mutual_tls(const Server& server) const;

  const analyze::World& world_;
  const mesh::CompileInput& input_;
  const mesh::PeerAuthentications policies_;
  mesh::InboundQuestion asked_;
  bool mutual_ = false, to_all_ = false;
  DirectAnswer out_;
};

void ServerSide::ask(const Servers& servers) {
  std::set<istio::Labels> told;
  for (const auto& server : servers) {
    if (!told.insert(server.workload.labels).second) continue;
    const auto& ref = *server.workload.ref;
    const auto name = ref.namespace_name + "/" + ref.name;
    if (auto why = world_.why_no_sidecar(server.workload); !why.empty()) {
      out_.steps.push_back({"server", name + " has no sidecar: " + why, ref.text(), {}});
    } else if (!analyze::captures_inbound(server.workload, server.port)) {
      past_sidecar(server, name);
    } else {
      ask(server, name);
    }
  }
}

bool ServerSide::sends_mutual_tls(const Server& server) const {
  const auto& workload = server.workload;
  const auto mode =
      policies_.of_workload(workload.ref->namespace_name, workload.labels, server.port).mode;
  return mutual_ && (to_all_ || mode != istio::MutualTls::disable);
}

// The pod's annotations keep the port away from its sidecar: no policy is asked.
void ServerSide::past_sidecar(const Server& server, const std::string& name) {
  const auto port = std::to_string(server.port);
  out_.steps.push_back(
      {"server",
       name + ": its annotations keep port " + port +
           " from its sidecar: PeerAuthentication and AuthorizationPolicy don't apply",
       server.workload.ref->text(),
       {}});
  if (sends_mutual_tls(server) && out_.refused.empty()) {
    out_.refused = "by the application of " + name +
                   ": it gets the mesh's mutual TLS itself, since port " + port +
                   " is not captured there";
  }
}

void ServerSide::ask(const Server& server, const std::string& name) {
  const auto& workload = server.workload;
  asked_.mutual_tls = sends_mutual_tls(server);
  asked_.port = server.port;
  auto theirs = input_;
  theirs.proxy = proxy_of(workload);
  auto told = mesh::explain_inbound(theirs, asked_);
  for (auto& step : told.steps) {
    step.text = name + ": " + step.text;
    out_.steps.push_back(std::move(step));
  }
  if (!told.refused.empty() && out_.refused.empty())
    out_.refused = "by the server's sidecar, " + name + ": " + told.refused;
}

bool is_of_kubernetes(const mesh::Cluster& cluster) {
  return cluster.service && cluster.service->kind == "Service" &&
         cluster.discovery != mesh::Discovery::strict_dns;  // ExternalName
}

}  // namespace

void explain_servers(mesh::ExplainedTarget& target, const analyze::World& world,
                     const mesh::CompileInput& input, const mesh::Question& question) {
  if (!target.cluster || !target.refused.empty()) return;
  const mesh::Cluster& cluster = *target.cluster;
  const auto servers = cluster.service ? servers_of(cluster, world, input.proxy.namespace_name)
                                       : servers_at(question.destination, world, input.resources);
  if (servers.empty() && is_of_kubernetes(cluster)) {
    target.steps.push_back({"server",
                            "nothing is known of the pods behind it: whether they take mutual "
                            "TLS, and whether their sidecars let it in, is not judged here",
                            "",
                            {}});
  }
  ServerSide side(world, input, question);
  if (speaks_mutual_tls(cluster)) side.mutual_tls(cluster.tls.sni, !cluster.tls.automatic);
  side.ask(servers);
  auto told = side.take();
  std::move(told.steps.begin(), told.steps.end(), std::back_inserter(target.steps));
  target.refused = std::move(told.refused);
}

DirectAnswer explain_direct(const analyze::World& world, const mesh::CompileInput& input,
                            const mesh::Question& question) {
  ServerSide side(world, input, question);
  side.ask(servers_at(question.destination, world, input.resources));
  return side.take();
}

}  // namespace sallyport::cli
