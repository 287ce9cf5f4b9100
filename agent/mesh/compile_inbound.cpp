#include "agent/mesh/compile_inbound.h"

#include <algorithm>

#include "agent/istio/names.h"
#include "agent/mesh/compile_cluster.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/own_ports.h"
#include "agent/mesh/reuse.h"

namespace sallyport::mesh {
namespace {

// One port of this workload, as somebody declares it.
struct Declared {
  uint16_t port = 0;  // where connections arrive: the container's
  PortKind kind = PortKind::detect;
  ResourceRefPtr by;
  std::string endpoint;  // of a Sidecar's ingress: where they go instead; empty: as they came
};

std::string inbound_name(uint16_t port) { return "inbound|" + std::to_string(port) + "||"; }

class Builder {
public:
  Builder(const InboundParts& parts, std::vector<istio::Finding>& findings)
      : parts_(parts), findings_(findings), proxy_(parts.input.proxy) {}
  Inbound build();

private:
  std::vector<Declared> declared();
  void add_ingress(std::vector<Declared>& out) const;
  ClusterPtr cluster_of(const Declared& declared) const;
  InboundPortPtr finished(InboundPort port) const;
  InboundPort undeclared(uint16_t port) const;

  const InboundParts& parts_;
  std::vector<istio::Finding>& findings_;
  const istio::Proxy& proxy_;
};

void Builder::add_ingress(std::vector<Declared>& out) const {
  for (const auto& ingress : parts_.sidecar->ingress) {
    istio::ServicePort port;
    port.number = ingress.port.number;
    port.protocol = ingress.port.protocol;
    const auto kind = kind_of(port, false);
    if (kind == PortKind::other) continue;
    out.push_back({port.number, kind, parts_.sidecar->metadata.ref, ingress.default_endpoint});
  }
}

// A Sidecar's ingress replaces what Services say.
std::vector<Declared> Builder::declared() {
  std::vector<Declared> out;
  if (parts_.sidecar && !parts_.sidecar->ingress.empty()) {
    add_ingress(out);
    return out;
  }
  if (proxy_.type == istio::Proxy::Type::router) return out;  // nothing is redirected there
  for (const auto& own : own_ports(parts_.input, findings_))
    out.push_back({own.target, own.kind, own.by->ref, {}});
  return out;
}

// To the application: where the connection was going, from 127.0.0.6, or to the endpoint that was
// asked for.
ClusterPtr Builder::cluster_of(const Declared& declared) const {
  Cluster out = inbound_passthrough_cluster(parts_.input.mesh, proxy_);
  out.name = inbound_name(declared.port);
  out.port = declared.port;
  out.http_idle = limits::http_idle;
  out.service = declared.by;
  std::string endpoint = declared.endpoint;
  if (endpoint.empty() && parts_.input.mesh.inbound_to_localhost)
    endpoint = "127.0.0.1:" + std::to_string(declared.port);
  if (endpoint.empty()) return parts_.keep(std::move(out));
  Endpoint to;
  const auto address = SocketAddress::parse(endpoint);
  if (address && address->ip() == IpAddress::v4(0)) {
    out.original_dst_port = address->port();  // 0.0.0.0:PORT: the pod's own address
    return parts_.keep(std::move(out));
  }
  out.discovery = Discovery::static_;
  out.source_v4 = out.source_v6 = {};
  out.client_source_mark = 0;
  if (address) {
    to.ip = address->ip();
    to.port = address->port();
  } else if (endpoint.starts_with(istio::unix_prefix)) {
    to.unix_socket =
        SocketAddress::unix_socket(std::string_view(endpoint).substr(istio::unix_prefix.size()))
            .value_or(SocketAddress());
  }
  out.endpoints.push_back(std::move(to));
  return parts_.keep(std::move(out));
}

// What every port has: its mode, and the one route of HTTP.
InboundPortPtr Builder::finished(InboundPort port) const {
  port.mutual_tls = parts_.modes.of_workload(proxy_.namespace_name, proxy_.labels, port.port);
  InboundPortPtr old;
  if (parts_.previous) {
    const auto& before = parts_.previous->inbound;
    const auto at = before.by_port.find(port.port);
    if (at != before.by_port.end()) old = at->second;
    if (port.port == 0) old = before.other;
  }
  Route route;
  route.name = "default";
  route.cluster = port.cluster;
  VirtualHost host;
  host.name = "inbound|http|" + std::to_string(port.port);
  host.routes.push_back(std::move(route));
  host.from = port.service;
  RouteTable table;
  table.name = port.cluster->name;
  table.fallback =
      reuse(std::move(host), old ? old->http->fallback : std::shared_ptr<const VirtualHost>());
  port.http = reuse(std::move(table), old ? old->http : std::shared_ptr<const RouteTable>());
  return reuse(std::move(port), old);
}

InboundPort Builder::undeclared(uint16_t port) const {
  InboundPort out;
  out.name = port ? "0.0.0.0_" + std::to_string(port) : "virtualInbound";
  out.port = port;
  out.cluster = parts_.passthrough;
  return out;
}

Inbound Builder::build() {
  Inbound out;
  for (const auto& one : declared()) {
    if (out.by_port.contains(one.port)) continue;  // of the older resource
    InboundPort port;
    port.name = "0.0.0.0_" + std::to_string(one.port);
    port.port = one.port;
    port.kind = one.kind;
    port.service = one.by;
    port.cluster = cluster_of(one);
    out.by_port.emplace(one.port, finished(std::move(port)));
  }
  for (const uint16_t port : parts_.modes.ports_of(proxy_.namespace_name, proxy_.labels)) {
    if (!out.by_port.contains(port)) out.by_port.emplace(port, finished(undeclared(port)));
  }
  out.other = finished(undeclared(0));
  out.authorization = compile_authorization(parts_.input, findings_);
  const auto& old = parts_.previous ? parts_.previous->inbound.authorization : nullptr;
  if (old && out.authorization && *old == *out.authorization) out.authorization = old;
  const auto& mesh = parts_.input.mesh;
  out.trust_domains = {mesh.trust_domain};
  for (const auto& alias : mesh.trust_domain_aliases) {
    auto& all = out.trust_domains;
    if (std::find(all.begin(), all.end(), alias) == all.end()) all.push_back(alias);
  }
  return out;
}

}  // namespace

Inbound compile_inbound(const InboundParts& parts, std::vector<istio::Finding>& findings) {
  return Builder(parts, findings).build();
}

}  // namespace sallyport::mesh
