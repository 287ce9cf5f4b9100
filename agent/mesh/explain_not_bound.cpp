// VirtualServices that a gateway's servers don't have, and why.
#include <algorithm>

#include "agent/mesh/explain_gateway.h"
#include "agent/mesh/gateway_rules.h"
#include "agent/mesh/gateway_servers.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

using Servers = std::vector<const BoundServer*>;

bool names_gateway_of(const istio::VirtualService& service, const BoundServer& server) {
  const auto& space = service.metadata.namespace_name();
  return std::any_of(service.gateways.begin(), service.gateways.end(), [&](const auto& written) {
    return istio::gateway_name(written, space) == server.gateway_name;
  });
}

bool is_behind(const istio::VirtualService& service, const Servers& servers,
               const GatewayRules& rules) {
  return std::any_of(servers.begin(), servers.end(), [&](const BoundServer* server) {
    const auto all = rules.of(*server);
    return std::any_of(all.begin(), all.end(), [&](const BoundService* bound) {
      return &bound->service() == &service && !common_hosts(*server, *bound).empty();
    });
  });
}

// REQUIRES: it is behind none of the servers, and there are some.
std::string why_not_behind(const CompileInput& input, const istio::VirtualService& service,
                           const Servers& servers, std::string_view host) {
  const auto& space = service.metadata.namespace_name();
  if (service.gateways.empty()) return "it names no gateways: it is for sidecars";
  Servers named;
  for (const auto* server : servers)
    if (names_gateway_of(service, *server)) named.push_back(server);
  if (named.empty()) return "its gateways do not name " + servers.front()->gateway_name;
  if (!exported(service.export_to, input.mesh.default_virtual_service_export_to, space,
                input.proxy.namespace_name))
    return "its exportTo does not reach namespace " + input.proxy.namespace_name +
           ", the gateway's proxy's";
  const auto& first = *named.front();
  const auto whose =
      "server " + first.server->port_name + " of " + text_at(first.ref(), first.server->line);
  return has_host(first, host) ? whose + " takes no VirtualServices of namespace " + space
                               : whose + " has no such host";
}

Servers servers_on(const GatewayServers& servers, uint16_t port) {
  Servers out;
  for (const auto& group : servers.groups()) {
    if (group.port != port) continue;
    for (const auto& one : group.plain) out.push_back(&one);
    for (const auto& one : group.tls) out.push_back(&one);
  }
  return out;
}

bool has_name(const istio::VirtualService& service, std::string_view host,
              const CompileInput& input) {
  HostTable<bool> hosts;
  for (const auto& written : service.hosts)
    add_host(
        hosts,
        expand_short_name(written, service.metadata.namespace_name(), input.mesh.cluster_domain),
        true);
  return hosts.find(host);
}

}  // namespace

std::vector<std::string> virtual_services_not_bound(const CompileInput& input, uint16_t port,
                                                    std::string_view host) {
  std::vector<istio::Finding> told_elsewhere;
  const GatewayServers merged(input, told_elsewhere);
  const GatewayRules rules(input, told_elsewhere);
  const auto servers = servers_on(merged, port);
  std::vector<std::string> out;
  for (const auto& resource : input.resources) {
    const auto* service = std::get_if<istio::VirtualService>(resource.get());
    if (!service || servers.empty() || !has_name(*service, host, input)) continue;
    if (is_behind(*service, servers, rules)) continue;
    out.push_back(service->metadata.ref->text() + ": " +
                  why_not_behind(input, *service, servers, host));
  }
  return out;
}

}  // namespace sallyport::mesh
