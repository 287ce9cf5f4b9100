#include "agent/mesh/compile_cluster.h"

#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/istio/names.h"
#include "agent/mesh/compile_load.h"
#include "agent/mesh/compile_tls.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/locality.h"

namespace sallyport::mesh {
namespace {

Error closed(std::string why, const ResourceRefPtr& because) {
  Error error;
  error.fault = Fault::denied;
  error.side = Side::local;
  error.context = std::move(why);
  if (because) error.resource = because->text();
  return error;
}

// Which endpoints: all, or those of a subset.
struct Selection {
  const istio::Labels* labels = nullptr;
  const istio::DestinationRule* rule = nullptr;  // whose subset it is
  LocalityPlan* localities = nullptr;            // sorts them
  ServiceWorkloads* workloads = nullptr;
  const ServedBy* served = nullptr;
  bool takes(const istio::Labels& of) const { return !labels || istio::selects(*labels, of); }
};

// What was dialled is a gateway's own address, so that its endpoints count there (istiod does the
// same).
Discovery discovery_of(const KnownService& service, const istio::Proxy& proxy) {
  const auto dialled =
      proxy.type == istio::Proxy::Type::router ? Discovery::static_ : Discovery::original_dst;
  if (service.service) {
    if (!service.service->external_name.empty()) return Discovery::strict_dns;
    return service.headless() ? dialled : Discovery::static_;
  }
  switch (service.entry->resolution) {
    case istio::Resolution::none:
      return dialled;
    case istio::Resolution::static_:
      return Discovery::static_;
    case istio::Resolution::dns:
      return Discovery::strict_dns;
    case istio::Resolution::dynamic_dns:
      return Discovery::dynamic_dns;
    case istio::Resolution::dns_round_robin:
      return Discovery::logical_dns;
  }
  return Discovery::static_;
}

// Of a Service nobody is known who serves it: its own addresses stand for them, and the kernel
// balances behind them.
void add_cluster_ips(const KnownService& service, const istio::ServicePort& port,
                     const CompileInput& input, Cluster& out) {
  const auto reachable = [&](const IpAddress& ip) {
    const auto& own = input.proxy.addresses;
    return std::any_of(own.begin(), own.end(), [&](const std::string& text) {
      const auto mine = IpAddress::parse(text);
      return mine && mine->is_v4() == ip.is_v4();
    });
  };
  for (const auto& ip : service.addresses) {
    if (reachable(ip)) out.endpoints.push_back({ip, {}, port.number, 1});
  }
  if (out.endpoints.empty() && !service.addresses.empty()) {
    out.endpoints.push_back({service.addresses.front(), {}, port.number, 1});
  }
}

// "unix:///run/x.sock", "unix://@name".
std::optional<SocketAddress> unix_socket_of(std::string_view address, Discovery discovery) {
  const bool taken = discovery == Discovery::static_ && address.starts_with(istio::unix_prefix);
  if (!taken) return {};
  return SocketAddress::unix_socket(address.substr(istio::unix_prefix.size()));
}

// Why an endpoint with this address can't be one of the cluster. Validation has seen the path of a
// unix socket, so that only their number is left.
std::string unusable(const std::string& address, const Cluster& cluster) {
  std::string out = "'" + address + "' can't be used by " + cluster.name + ": left out";
  if (!address.starts_with(istio::unix_prefix)) return out;
  if (cluster.discovery != Discovery::static_) return out + ", only STATIC takes unix sockets";
  return out + ", this process has met " + std::to_string(limits::unix_sockets) +
         " other unix sockets and takes no more: restart it";
}

void add_workload(const ServiceWorkload& serving, uint16_t port, const Selection& selection,
                  Cluster& out, std::vector<istio::Finding>& findings) {
  const auto& workload = serving.entry;
  if (!selection.takes(workload.labels)) return;
  if (!serving.ready) {
    if (!out.unready) out.unready = serving.metadata->ref;
    return;
  }
  Endpoint endpoint;
  endpoint.weight = std::max<uint32_t>(workload.weight, 1);
  endpoint.port = port;
  if (const auto unix_socket = unix_socket_of(workload.address, out.discovery)) {
    endpoint.unix_socket = *unix_socket;
    endpoint.port = 0;
  } else if (const auto ip = IpAddress::parse(workload.address)) {
    endpoint.ip = *ip;
  } else if (out.discovery == Discovery::static_ || workload.address.starts_with("unix:") ||
             workload.address.empty()) {
    findings.push_back(finding(istio::Severity::warning, *serving.metadata, "address",
                               unusable(workload.address, out), workload.line));
    return;
  } else {
    endpoint.host = lower(workload.address);
  }
  const auto& proxy = selection.workloads->input().proxy;
  // A gateway's AUTO_PASSTHROUGH asks, too.
  if (out.tls.automatic || proxy.type == istio::Proxy::Type::router)
    endpoint.mesh_tls = endpoint_mtls(serving, port, selection.workloads->policies()).on();
  endpoint.workload = facts_of(serving);
  selection.localities->place(workload, endpoint);
  out.endpoints.push_back(std::move(endpoint));
}

void add_workloads(const KnownService& service, const istio::ServicePort& port,
                   const Selection& selection, Cluster& out,
                   std::vector<istio::Finding>& findings) {
  for (const auto& one : selection.served->workloads) {
    const auto own = target_port(one, port, service.service != nullptr);
    if (own) add_workload(one, *own, selection, out, findings);
  }
}

void add_entry_endpoints(const KnownService& service, const istio::ServicePort& port,
                         const Selection& selection, Cluster& out,
                         std::vector<istio::Finding>& findings) {
  const auto& entry = *service.entry;
  add_workloads(service, port, selection, out, findings);
  if (entry.workload_selector && selection.served->workloads.empty()) {
    findings.push_back(finding(istio::Severity::warning, entry.metadata, "spec.workloadSelector",
                               out.name +
                                   " has no endpoints: no WorkloadEntry and no Pod of "
                                   "namespace " +
                                   entry.metadata.namespace_name() + " has these labels"));
  }
  const bool by_name =
      out.discovery == Discovery::strict_dns || out.discovery == Discovery::logical_dns;
  if (entry.endpoints.empty() && !entry.workload_selector && by_name && selection.takes({})) {
    const uint16_t usual = port.target_port ? port.target_port : port.number;
    out.endpoints.push_back({{}, service.host, usual, 1});
  }
}

void add_endpoints(const KnownService& service, const istio::ServicePort& port,
                   const Selection& selection, Cluster& out,
                   std::vector<istio::Finding>& findings) {
  if (out.discovery == Discovery::original_dst) {
    const bool none = service.entry && service.entry->resolution == istio::Resolution::none;
    if (none)
      out.original_dst_port = port.target_port;  // A PASSTHROUGH balancer keeps the port too.
  } else if (out.discovery == Discovery::dynamic_dns) {
    out.original_dst_port = port.target_port;
  } else if (service.entry) {
    add_entry_endpoints(service, port, selection, out, findings);
  } else if (out.discovery == Discovery::strict_dns) {
    out.endpoints.push_back({{}, lower(service.service->external_name), port.number, 1});
  } else if (selection.served->known) {
    add_workloads(service, port, selection, out, findings);
  } else if (selection.takes({})) {
    add_cluster_ips(service, port, selection.workloads->input(), out);
  } else {
    findings.push_back(finding(istio::Severity::warning, selection.rule->metadata, "spec.subsets",
                               out.name + " has no endpoints: neither Pods nor EndpointSlices of "
                                          "the Service are known, so that its subsets can't be "
                                          "told apart"));
  }
}

ProxyProtocol proxy_protocol_of(const PortRules& rules) {
  if (!rules.proxy_protocol) return ProxyProtocol::none;
  return *rules.proxy_protocol == istio::ProxyProtocol::v1 ? ProxyProtocol::v1 : ProxyProtocol::v2;
}

// Where the tls block stands.
std::string field_of(const TlsQuestion& question) {
  const std::string of_all = "spec.trafficPolicy";
  if (!question.rule->traffic_policy) return of_all + ".tls";
  const auto& ports = question.rule->traffic_policy->port_level_settings;
  for (std::size_t i = 0; i < ports.size(); i++) {
    if (ports[i].tls && &*ports[i].tls == question.tls) {
      return of_all + ".portLevelSettings[" + std::to_string(i) + "].tls";
    }
  }
  return of_all + ".tls";
}

void apply_tls(const TlsQuestion& question, Cluster& out, std::vector<istio::Finding>& findings) {
  auto tls = compile_tls(question);
  if (!tls) {
    findings.push_back(finding(istio::Severity::error, question.rule->metadata, field_of(question),
                               out.name + " is closed: " + tls.error().context,
                               question.tls->line));
    out.refused = tls.error();
    return;
  }
  out.tls = std::move(*tls);
  if (out.tls.of_rule()) out.tls.parameters = question.workloads.input().mesh.tls_defaults;
  // A gateway's clients speak HTTP to it, or what its server makes of their TLS.
  const bool of_sidecar = question.workloads.input().proxy.type == istio::Proxy::Type::sidecar;
  if (of_sidecar && question.port.kind == PortKind::tls && out.tls.of_rule()) {
    findings.push_back(finding(istio::Severity::warning, question.rule->metadata,
                               field_of(question),
                               "TLS inside TLS: port " + std::to_string(out.port) + " of " +
                                   out.host + " is declared " + question.port.port->protocol +
                                   ", so clients speak TLS themselves and this rule wraps it again",
                               question.tls->line));
  }
}

}  // namespace

std::string outbound_name(uint16_t port, std::string_view host, std::string_view subset) {
  return "outbound|" + std::to_string(port) + "|" + std::string(subset) + "|" + std::string(host);
}

Cluster compile_cluster(const KnownService& service, const KnownPort& known,
                        const RuleChoice& choice, const SubsetChoice* subset,
                        ServiceWorkloads& workloads, std::vector<istio::Finding>& findings) {
  const auto& input = workloads.input();
  const auto& port = *known.port;
  if (choice.broken) {
    auto out = closed_cluster(service.host, port.number, *choice.broken);
    if (subset) out.name = outbound_name(port.number, service.host, subset->subset->name);
    out.service = service.metadata->ref;
    return out;
  }
  Cluster out;
  out.name = outbound_name(port.number, service.host,
                           subset ? std::string_view(subset->subset->name) : "");
  out.host = service.host;
  out.port = port.number;
  out.service = service.metadata->ref;
  out.connect_timeout = input.mesh.connect_timeout;
  out.dns_refresh_rate = input.mesh.dns_refresh_rate;
  out.discovery = discovery_of(service, input.proxy);
  if (choice.rule) out.rule = choice.rule->metadata.ref;
  const auto rules = rules_for_port(choice.rule, subset, port.number);
  apply_pool(rules.connection_pool, rules.retry_budget, input.mesh, out);
  apply_load_balancer(rules.load_balancer, out);
  out.proxy_protocol = proxy_protocol_of(rules);
  const auto* outlier = outlier_detection_of(rules, input.mesh);
  apply_outlier_detection(outlier, out);
  LocalityPlan localities(rules.load_balancer && rules.load_balancer->locality
                              ? &*rules.load_balancer->locality
                              : nullptr,
                          input.mesh, input.proxy, outlier != nullptr);
  const auto& served = workloads.of(service, findings);
  Selection selection{.localities = &localities, .workloads = &workloads, .served = &served};
  if (subset) {
    selection.labels = &subset->subset->labels;
    selection.rule = subset->rule;
  }
  const auto subset_name = subset ? std::string_view(subset->subset->name) : std::string_view();
  apply_tls(
      {rules.tls_rule, rules.tls, service, known, subset_name, out.discovery, served, workloads},
      out, findings);
  add_endpoints(service, port, selection, out, findings);
  localities.finish(out);
  return out;
}

Cluster closed_cluster(std::string_view host, uint16_t port, const istio::Refused& refused) {
  Cluster out;
  out.name = outbound_name(port, host);
  out.host = host;
  out.port = port;
  if (refused.kind == "DestinationRule") out.rule = refused.ref;
  if (refused.kind == "ServiceEntry") out.service = refused.ref;
  out.refused = closed(out.host + " is closed: " + refused.finding.text(), refused.ref);
  return out;
}

ClusterPtr missing_cluster(std::string_view name, const ResourceRefPtr& named_by) {
  Cluster out;
  out.name = name;
  out.refused = closed("there is no " + out.name, named_by);
  return std::make_shared<const Cluster>(std::move(out));
}

Cluster passthrough_cluster(std::string_view name, const istio::MeshConfig& mesh) {
  Cluster out;
  out.name = name;
  out.discovery = Discovery::original_dst;
  out.connect_timeout = mesh.connect_timeout;
  out.http_idle = limits::http_passthrough_idle;
  apply_pool(nullptr, nullptr, mesh, out);
  return out;
}

// From 127.0.0.6 and ::6, which the redirect rules let pass: from the pod's own address it would be
// captured again. With TPROXY from the client's own address. What limits upstreams of the mesh does
// not limit the pod's own server.
Cluster inbound_passthrough_cluster(const istio::MeshConfig& mesh, const istio::Proxy& proxy) {
  istio::MeshConfig own;
  own.connect_timeout = mesh.connect_timeout;
  Cluster out = passthrough_cluster("InboundPassthroughCluster", own);
  out.source_v4 = *IpAddress::parse("127.0.0.6");
  out.source_v6 = *IpAddress::parse("::6");
  out.client_source_mark = proxy.tproxy_mark;
  return out;
}

Cluster black_hole_cluster(const SidecarScope& scope) {
  Cluster out;
  out.name = "BlackHoleCluster";
  if (const auto* broken = scope.refused()) {
    out.refused = closed(
        "no service declares this destination, and what the Sidecar would say of "
        "it is not known: " +
            broken->finding.text(),
        broken->ref);
    return out;
  }
  const auto* sidecar = scope.sidecar();
  out.refused = closed(
      "no service declares this destination and outboundTrafficPolicy is "
      "REGISTRY_ONLY",
      sidecar && sidecar->allow_any ? sidecar->metadata.ref : nullptr);
  return out;
}

}  // namespace sallyport::mesh
