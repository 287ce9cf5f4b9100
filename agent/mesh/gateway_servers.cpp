#include "agent/mesh/gateway_servers.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/istio/labels.h"
#include "agent/istio/names.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/own_ports.h"

namespace sallyport::mesh {
namespace {

// Of a Service whose ports Gateways don't mean (Knative's; istio/istio:pilot/pkg/model/gateway.go).
constexpr std::string_view no_translation =
    "experimental.istio.io/disable-gateway-port-translation";

bool is_http(const istio::GatewayServer& server) {
  return istio::protocol_class(server.protocol) == istio::ProtocolClass::http;
}

// HTTPS and TLS: what an HTTP server has under `tls` is only its redirect.
bool is_tls(const istio::GatewayServer& server) { return server.tls && !is_http(server); }

std::string server_text(const istio::Gateway& gateway, const istio::GatewayServer& server) {
  return "server " + server.port_name + " of " + text_at(gateway.metadata.ref, server.line);
}

// Unset: `bind` is none, or none that can be used.
SocketAddress unix_socket_of(std::string_view bind) {
  if (!bind.starts_with(istio::unix_prefix)) return {};
  return SocketAddress::unix_socket(bind.substr(istio::unix_prefix.size()))
      .value_or(SocketAddress());
}

// Admin, status, health and metrics: istiod skips servers there, too (conflictWithStaticListener).
bool is_proxys_own(uint16_t port) {
  constexpr uint16_t own[] = {15000, 15020, 15021, 15090};
  return std::find(std::begin(own), std::end(own), port) != std::end(own);
}

}  // namespace

std::string BoundServer::route_name() const {
  const std::string bind = server->bind.empty() ? "" : "." + server->bind;
  if (is_http(*server)) return "http." + std::to_string(port) + bind;
  const bool ended = server->tls && !istio::is_passthrough(*server->tls);
  const char* kind = server->tls ? "tls" : "tcp";
  if (server->protocol == "HTTPS" && ended) kind = "https";
  const auto& about = gateway->metadata;
  return std::string(kind) + "." + std::to_string(server->port) + "." + server->port_name + "." +
         about.name() + "." + about.namespace_name() + bind;
}

bool admits(const istio::ServerHost& host, std::string_view namespace_name) {
  return host.namespace_name == "*" || host.namespace_name == namespace_name;
}

GatewayServers::GatewayServers(const CompileInput& input, std::vector<istio::Finding>& findings)
    : findings_(findings) {
  for (const auto& own : own_ports(input, findings)) {
    if (!own.by->labels.contains(no_translation)) targets_.emplace_back(own.number, own.target);
  }
  for (const auto& resource : input.resources) {
    const auto* gateway = std::get_if<istio::Gateway>(resource.get());
    if (gateway && istio::selects(gateway->selector, input.proxy.labels)) add(*gateway);
  }
  for (const auto& one : input.refused) {
    const bool ours =
        one.kind == "Gateway" && one.selector && istio::selects(*one.selector, input.proxy.labels);
    if (ours) refused_.push_back(&one);
  }
}

uint16_t GatewayServers::bound_port(uint16_t number) const {
  const auto at = std::find_if(targets_.begin(), targets_.end(),
                               [number](const auto& one) { return one.first == number; });
  return at == targets_.end() ? number : at->second;
}

void GatewayServers::add(const istio::Gateway& gateway) {
  const auto& about = gateway.metadata;
  for (const auto& server : gateway.servers) {
    BoundServer bound{&gateway, &server, about.namespace_name() + "/" + about.name(), server.hosts,
                      bound_port(server.port)};
    for (auto& host : bound.hosts)
      if (host.namespace_name == ".") host.namespace_name = about.namespace_name();
    add(std::move(bound));
  }
}

void GatewayServers::skip(const BoundServer& server, std::string why) {
  findings_.push_back(finding(istio::Severity::error, server.gateway->metadata, "spec.servers",
                              "server " + server.server->port_name + " is skipped: " + why,
                              server.server->line));
}

ServerGroup& GatewayServers::group_of(const BoundServer& server) {
  const auto& bind = server.server->bind;
  for (auto& group : groups_)
    if (group.bind == bind && group.port == server.port) return group;
  groups_.push_back({bind, server.port, unix_socket_of(bind), {}, {}});
  taken_.emplace_back();
  return groups_.back();
}

void GatewayServers::add(BoundServer server) {
  const auto& bind = server.server->bind;
  if (bind.starts_with(istio::unix_prefix) && !unix_socket_of(bind).is_set())
    return skip(server, "nobody can listen on " + bind + ": a path has at most " +
                            std::to_string(SocketAddress::path_max) +
                            " bytes, and this process meets no more than " +
                            std::to_string(limits::unix_sockets) +
                            " of them until it is restarted");
  if (is_proxys_own(server.port) && !unix_socket_of(bind).is_set())
    return skip(server, "port " + std::to_string(server.port) + " is the proxy's own");
  auto& group = group_of(server);
  if (is_tls(*server.server)) return add_tls(group, std::move(server));
  add_plain(group, std::move(server));
}

void GatewayServers::add_plain(ServerGroup& group, BoundServer server) {
  if (group.plain.empty() || (is_http(*server.server) && is_http(*group.plain.front().server)))
    return group.plain.push_back(std::move(server));
  const auto& other = group.plain.front();
  skip(server, "protocol " + server.server->protocol + " conflicts on port " +
                   std::to_string(group.port) + " with protocol " + other.server->protocol +
                   " of " + server_text(*other.gateway, *other.server));
}

void GatewayServers::add_tls(ServerGroup& group, BoundServer server) {
  auto& taken = taken_[static_cast<std::size_t>(&group - groups_.data())];
  for (const auto& host : server.hosts) {
    const auto at = taken.find(host.name);
    if (at == taken.end()) continue;
    return skip(server, "IST0145: on port " + std::to_string(server.server->port) + " the host " +
                            host.name + " is already that of " +
                            server_text(*at->second.first, *at->second.second));
  }
  for (const auto& host : server.hosts) taken.try_emplace(host.name, server.gateway, server.server);
  group.tls.push_back(std::move(server));
}

}  // namespace sallyport::mesh
