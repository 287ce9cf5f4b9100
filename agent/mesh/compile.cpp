#include "agent/mesh/compile.h"

#include <algorithm>
#include <set>

#include "agent/mesh/compile_cluster.h"
#include "agent/mesh/compile_gateway.h"
#include "agent/mesh/compile_inbound.h"
#include "agent/mesh/compile_listeners.h"
#include "agent/mesh/compile_termination.h"
#include "agent/mesh/compile_tls.h"
#include "agent/mesh/decide_udp.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/name_table.h"
#include "agent/mesh/reuse.h"
#include "agent/mesh/sidecar_scope.h"
#include "agent/mesh/telemetry.h"
#include "agent/mesh/telemetry_metrics.h"

namespace sallyport::mesh {
namespace {

class Compiler {
public:
  Compiler(const CompileInput& input, const SnapshotPtr& previous)
      : input_(input), previous_(previous.get()), workloads_(input) {}

  Compiled run(uint64_t version);

private:
  ClusterPtr keep(Cluster next);
  void find_pods_of_headless();
  void add_clusters(const KnownService& service, RuleIndex& rules);
  ClusterPtr unchanged(const std::string& name, const KnownService& service,
                       const RuleChoice& choice, const SubsetChoice* subset) const;
  ClusterPtr add_cluster(const KnownService& service, const KnownPort& port,
                         const RuleChoice& choice, const SubsetChoice* subset);
  bool has_port(const KnownService& service, uint16_t port);
  void close_refused(const RuleIndex& rules, ListenerBuilder& listeners);
  void close(const istio::Refused& refused, ListenerBuilder& listeners);
  void check_port_settings(const istio::DestinationRule& rule, const KnownService& service);
  void report_unused(const RuleIndex& rules);
  bool of_gateway() const { return input_.proxy.type == istio::Proxy::Type::router; }
  void add_catch_alls();
  void add_gateway(const RouteCompiler& routes);
  std::vector<GatewayParts::Behind> behind_gateway();
  std::vector<istio::Finding> merged_findings();

  const CompileInput& input_;
  const Snapshot* previous_;
  std::vector<istio::Finding> findings_;
  std::vector<KnownService> services_;
  struct Served {
    const KnownService* service;
    const KnownPort* port;
    ClusterPtr cluster;
  };
  std::vector<Served> served_;
  std::vector<Served> subsets_;  // of a gateway: clusters of subsets
  std::shared_ptr<Snapshot> next_ = std::make_shared<Snapshot>();
  std::set<std::string> secrets_;
  ServiceWorkloads workloads_;
  ByText<std::set<uint16_t>> ports_of_host_;  // made when first asked for
};

// The previous snapshot's object where nothing changed; entered by name.
ClusterPtr Compiler::keep(Cluster next) {
  ClusterPtr old;
  if (previous_) {
    const auto at = previous_->clusters.find(next.name);
    if (at != previous_->clusters.end()) old = at->second;
  }
  auto cluster = reuse(std::move(next), old);
  next_->clusters.try_emplace(cluster->name, cluster);
  return cluster;
}

// An entry for a port that the service does not have: mostly the targetPort, mistaken for the
// service's port.
void Compiler::check_port_settings(const istio::DestinationRule& rule,
                                   const KnownService& service) {
  if (!rule.traffic_policy || is_wildcard(rule.host)) return;
  for (const auto& entry : rule.traffic_policy->port_level_settings) {
    if (has_port(service, entry.port)) continue;
    std::string hint;
    for (const auto& port : service.ports) {
      if (port.port->target_port == entry.port) {
        hint = "; it is the targetPort of port " + std::to_string(port.port->number) +
               ", and portLevelSettings take the service's port";
      }
    }
    findings_.push_back(
        finding(istio::Severity::warning, rule.metadata, "spec.trafficPolicy.portLevelSettings",
                service.host + " has no port " + std::to_string(entry.port) + hint, entry.line));
  }
}

// Of all resources that tell of the service's host.
bool Compiler::has_port(const KnownService& service, uint16_t port) {
  const auto is_it = [port](const KnownPort& one) { return one.port->number == port; };
  if (std::any_of(service.ports.begin(), service.ports.end(), is_it)) return true;
  if (ports_of_host_.empty()) {
    for (const auto& one : services_)
      for (const auto& [each, kind] : one.ports) ports_of_host_[one.host].insert(each->number);
  }
  return ports_of_host_[service.host].contains(port);
}

// By resources that are not its own: WorkloadEntries, Pods, EndpointSlices; and what
// PeerAuthentication says of them.
bool is_served_by_others(const KnownService& service) {
  if (service.service) return true;
  return service.entry->workload_selector ||
         service.entry->location == istio::Location::mesh_internal;
}

// Last time's, where it was made of the same objects and nothing else.
ClusterPtr Compiler::unchanged(const std::string& name, const KnownService& service,
                               const RuleChoice& choice, const SubsetChoice* subset) const {
  if (!previous_ || !input_.changes || choice.broken || service.decorated) return nullptr;
  if (subset && subset->rule != choice.rule) return nullptr;
  const auto& changes = *input_.changes;
  const auto rule = choice.rule ? choice.rule->metadata.ref : nullptr;
  if (changes.contains(service.metadata->ref) || changes.contains(rule)) return nullptr;
  if (changes.workloads && is_served_by_others(service)) return nullptr;
  const auto at = previous_->clusters.find(name);
  if (at == previous_->clusters.end() || !at->second->settled) return nullptr;
  const bool same = at->second->service == service.metadata->ref && at->second->rule == rule;
  return same ? at->second : nullptr;
}

ClusterPtr Compiler::add_cluster(const KnownService& service, const KnownPort& port,
                                 const RuleChoice& choice, const SubsetChoice* subset) {
  const auto name = outbound_name(port.port->number, service.host,
                                  subset ? std::string_view(subset->subset->name) : "");
  auto cluster = unchanged(name, service, choice, subset);
  if (cluster) {
    next_->clusters.try_emplace(cluster->name, cluster);
  } else {
    const auto found = findings_.size();
    auto next = compile_cluster(service, port, choice, subset, workloads_, findings_);
    next.settled = findings_.size() == found && !choice.broken && !service.decorated &&
                   (!subset || subset->rule == choice.rule);
    cluster = keep(std::move(next));
  }
  if (cluster->tls.mode != Originate::none) {
    for (auto& secret : secret_names(cluster->tls)) secrets_.insert(std::move(secret));
  }
  return cluster;
}

// Each pod of such a Service is a listener of its own (2.6).
void Compiler::find_pods_of_headless() {
  std::vector<istio::Finding> told_later;
  for (auto& service : services_) {
    const auto by_pod = [](const KnownPort& port) {
      return port.kind == PortKind::tcp || port.kind == PortKind::detect ||
             port.port->protocol == "UDP";
    };
    if (!service.headless() || std::none_of(service.ports.begin(), service.ports.end(), by_pod))
      continue;
    for (const auto& one : workloads_.of(service, told_later).workloads) {
      const auto ip = IpAddress::parse(one.entry.address);
      if (ip && one.ready) service.pods.push_back(*ip);
    }
  }
  workloads_.forget();
}

// Of the whole service, and of each subset of its rules.
void Compiler::add_clusters(const KnownService& service, RuleIndex& rules) {
  const auto choice = rules.choose(service);
  if (choice.rule) check_port_settings(*choice.rule, service);
  for (const auto& port : service.ports) {
    if (port.kind == PortKind::other) continue;
    const auto cluster = add_cluster(service, port, choice, nullptr);
    if (!service.only_routed_to) served_.push_back({&service, &port, cluster});
    for (const auto& subset : choice.subsets) {
      auto own = add_cluster(service, port, choice, &subset);
      if (of_gateway()) subsets_.push_back({&service, &port, std::move(own)});
    }
  }
}

void Compiler::close(const istio::Refused& refused, ListenerBuilder& listeners) {
  for (const auto& name : refused.hosts) {
    const bool is_rule = refused.kind == "DestinationRule";
    const auto host =
        is_rule ? expand_short_name(name, refused.namespace_name, input_.mesh.cluster_domain)
                : lower(name);
    if (host.empty() || next_->clusters.contains(outbound_name(0, host))) continue;
    listeners.close_host(host, keep(closed_cluster(host, 0, refused)));
  }
}

void Compiler::close_refused(const RuleIndex& rules, ListenerBuilder& listeners) {
  for (const auto& refused : input_.refused) {
    if (refused.kind == "ServiceEntry") close(refused, listeners);
    if (refused.hosts.empty() &&
        (refused.kind == "ServiceEntry" || refused.kind == "DestinationRule")) {
      auto unknown = refused.finding;
      unknown.reason =
          "was refused and names no host that could be read: nothing can be closed for it (" +
          unknown.reason + ")";
      findings_.push_back(std::move(unknown));
    }
  }
  for (const auto* refused : rules.unused_broken()) close(*refused, listeners);
}

void Compiler::report_unused(const RuleIndex& rules) {
  for (const auto* rule : rules.unused()) {
    findings_.push_back(
        finding(istio::Severity::warning, rule->metadata, "spec.host",
                "IST0174: no service that this proxy sees has the host '" + rule->host + "'"));
  }
}

// One line a resource and field: a wildcard rule would else say the same for each of ten thousand
// services.
std::vector<istio::Finding> Compiler::merged_findings() {
  std::vector<istio::Finding> out;
  ByText<std::pair<std::size_t, int>> places;
  for (auto& one : findings_) {
    const auto key = one.kind + "\n" + one.namespace_name + "\n" + one.name + "\n" + one.field +
                     "\n" + one.file + "\n" + std::to_string(one.line);
    const auto [at, first] = places.try_emplace(key, out.size(), 0);
    if (first)
      out.push_back(std::move(one));
    else
      at->second.second++;
  }
  for (const auto& [key, place] : places) {
    if (place.second > 0)
      out[place.first].reason += " (and " + std::to_string(place.second) + " more like it)";
  }
  return out;
}

// "outbound_.80_.v1_.host" of "outbound|80|v1|host" (istio-api.md 2.12).
std::string mesh_sni(const Cluster& cluster) {
  std::string out;
  for (const char c : cluster.name) {
    if (c == '|')
      out += "_.";
    else
      out += c;
  }
  return out;
}

// For peers of other networks, whose SNI names the cluster and whose mutual TLS goes on to the
// endpoint: bytes, and only to endpoints that end such TLS (istio-api.md 2.14).
std::vector<GatewayParts::Behind> Compiler::behind_gateway() {
  std::vector<GatewayParts::Behind> out;
  for (const auto* all : {&served_, &subsets_}) {
    for (const auto& [service, port, cluster] : *all) {
      const bool outside =
          service->entry && service->entry->location == istio::Location::mesh_external;
      if (outside || cluster->refused) continue;
      Cluster bytes = *cluster;
      bytes.name = mesh_sni(*cluster);
      // Whatever enableAutoMtls says (istio/istio:pilot/pkg/xds/endpoints/mtls_checker.go).
      const bool by_rule = cluster->tls.rule != nullptr;
      const bool all = by_rule && cluster->tls.mode == Originate::istio_mutual;
      std::erase_if(bytes.endpoints,
                    [&](const Endpoint& one) { return !all && (by_rule || !one.mesh_tls); });
      bytes.tls = {};
      bytes.proxy_protocol = ProxyProtocol::none;
      out.push_back({service->host, bytes.name, keep(std::move(bytes))});
    }
  }
  return out;
}

void Compiler::add_gateway(const RouteCompiler& routes) {
  const GatewayParts parts{input_, previous_, routes, [this] { return behind_gateway(); },
                           [this](const std::string& host, const istio::Refused& refused) {
                             return keep(closed_cluster(host, 0, refused));
                           }};
  next_->gateway = compile_gateway(parts, findings_);
  each_chain(next_->gateway, [this](const GatewayChainPtr& chain) {
    if (!chain->tls) return;
    for (auto& secret : secret_names(*chain->tls)) secrets_.insert(std::move(secret));
  });
}

// A gateway passes nothing on that nobody declares: it has none of their names.
void Compiler::add_catch_alls() {
  auto out = passthrough_cluster("PassthroughCluster", input_.mesh);
  auto in = inbound_passthrough_cluster(input_.mesh, input_.proxy);
  if (of_gateway()) {
    next_->passthrough = std::make_shared<const Cluster>(std::move(out));
    next_->inbound_passthrough = std::make_shared<const Cluster>(std::move(in));
    return;
  }
  next_->passthrough = keep(std::move(out));
  next_->inbound_passthrough = keep(std::move(in));
}

Compiled Compiler::run(uint64_t version) {
  next_->version = version;
  next_->proxy = input_.proxy;
  next_->mesh = input_.mesh;
  next_->access_logging = access_logging(input_, findings_);
  next_->metrics = standard_metrics(input_, findings_);
  if (previous_) next_->clusters.reserve(previous_->clusters.size());
  add_catch_alls();
  const SidecarScope scope(input_);
  next_->black_hole = keep(black_hole_cluster(scope));
  const PeerAuthentications& modes = workloads_.policies();
  modes.report(findings_);
  next_->inbound =
      compile_inbound({input_, modes, chosen_sidecar(input_), previous_, next_->inbound_passthrough,
                       [this](Cluster next) { return keep(std::move(next)); }},
                      findings_);
  RuleIndex rules(input_);
  VirtualServiceIndex virtual_services(input_, scope, findings_);
  ServiceScope seen{scope, {}};
  if (!scope.sees_all()) seen.routed_to = virtual_services.destinations();
  services_ = known_services(input_, seen, findings_);
  if (input_.proxy.dns_capture) {
    next_->names =
        compile_names(input_, services_, workloads_, previous_ ? previous_->names : nullptr);
  }
  find_pods_of_headless();
  if (input_.proxy.udp_policy != istio::UdpPolicy::off)
    next_->udp = std::make_shared<const UdpTable>(compile_udp(services_));
  for (const auto& service : services_) add_clusters(service, rules);
  const auto broken = virtual_services.broken();
  for (const auto& [host, refused] : broken)
    virtual_services.close(host, keep(closed_cluster(host, 0, *refused)));
  const RouteCompiler routes(input_, next_->clusters);
  ListenerBuilder listeners({input_, previous_, virtual_services, routes, scope}, findings_);
  if (!of_gateway()) {
    for (const auto& [service, port, cluster] : served_) listeners.add(*service, *port, cluster);
    close_refused(rules, listeners);
  }
  for (const auto& [host, refused] : broken) {
    const auto* known = virtual_services.find(host);
    if (known && known->closed) listeners.close_host(host, known->closed);
  }
  listeners.finish(*next_);
  if (of_gateway()) add_gateway(routes);
  report_unused(rules);
  return {next_, merged_findings(), {secrets_.begin(), secrets_.end()}};
}

}  // namespace

Compiled compile(const CompileInput& input, const SnapshotPtr& previous, uint64_t version) {
  return Compiler(input, previous).run(version);
}

}  // namespace sallyport::mesh
