#include "agent/mesh/gateway_routes.h"

#include <algorithm>

#include "agent/mesh/host_names.h"
#include "agent/mesh/reuse.h"

namespace sallyport::mesh {
namespace {

// istiod's IsCatchAllRoute: every path, and nothing else is asked.
bool takes_everything(const Route& route) {
  if (!route.match) return true;
  const auto& match = *route.match;
  if (match.scheme || match.method || match.authority || !match.headers.empty() ||
      !match.without_headers.empty() || !match.query.empty())
    return false;
  if (!match.path) return true;
  const auto& path = match.path->match;
  if (path.kind == istio::StringMatch::Kind::prefix) return path.value == "/";
  return path.kind == istio::StringMatch::Kind::regex && path.value == ".*";
}

bool asks_for_fields(const Route& route) {
  return route.match && !(route.match->headers.empty() && route.match->without_headers.empty());
}

// Nothing after it is reached.
void end_at_catch_all(std::vector<Route>& routes) {
  const auto at = std::find_if(routes.begin(), routes.end(), takes_everything);
  if (at != routes.end()) routes.erase(at + 1, routes.end());
}

}  // namespace

VirtualHost& GatewayTable::host_of(const std::string& name, const BoundServer& server) {
  const auto [at, made] = hosts_.try_emplace(name);
  if (made) {
    at->second.name = name + ":" + std::to_string(server.server->port);
    at->second.from = server.ref();
  }
  return at->second;
}

void GatewayTable::add(const BoundServer& server) {
  if (port_ == 0) port_ = server.server->port;
  for (const auto* bound : rules_.of(server)) add_service(server, *bound);
  add_redirects(server);
  for (const auto& [host, refused] : rules_.refused(server.gateway_name))
    for (auto& name : common_hosts(server, {host}, refused->namespace_name))
      broken_.emplace_back(std::move(name), refused);
}

void GatewayTable::add_service(const BoundServer& server, const BoundService& bound) {
  const auto hosts = common_hosts(server, bound);
  if (hosts.empty()) return;
  auto routes = parts_.routes.compile(bound.rules, server.server->port, &findings_);
  if (routes.empty()) return;
  end_at_catch_all(routes);
  for (const auto& name : hosts) {
    auto& host = host_of(name, server);
    host.routes.insert(host.routes.end(), routes.begin(), routes.end());
    host.from = bound.service().metadata.ref;
  }
}

// Of every host of the server, whether a VirtualService has it or not; and of those that are
// narrower (istiod sets it where it builds them).
void GatewayTable::add_redirects(const BoundServer& server) {
  if (!server.server->tls || !server.server->tls->https_redirect) return;
  for (const auto& own : server.hosts) host_of(own.name, server).https_only = true;
  for (const auto* bound : rules_.of(server))
    for (const auto& name : common_hosts(server, *bound))
      if (const auto at = hosts_.find(name); at != hosts_.end()) at->second.https_only = true;
}

void GatewayTable::close(const std::string& host, const istio::Refused& refused) {
  const auto [at, made] = hosts_.try_emplace(host);
  if (!made) return;
  Route route;
  route.name = "default";
  route.cluster = parts_.closed(host, refused);
  route.retry.attempts = route.retry.on = 0;
  at->second.name = host;
  at->second.routes.push_back(std::move(route));
  at->second.from = refused.ref;
}

std::shared_ptr<const RouteTable> GatewayTable::finish(
    std::string name, const std::shared_ptr<const RouteTable>& old) {
  for (const auto& [host, refused] : broken_) close(host, *refused);
  RouteTable table;
  for (const auto& [host, one] : hosts_)
    table.by_fields |= std::any_of(one.routes.begin(), one.routes.end(), asks_for_fields);
  table.name = std::move(name);
  for (auto& [host, virtual_host] : hosts_) {
    std::stable_partition(virtual_host.routes.begin(), virtual_host.routes.end(),
                          [](const Route& route) { return !takes_everything(route); });
    const auto* found = old ? old->hosts.find(host) : nullptr;
    add_host(table.hosts, host,
             reuse(std::move(virtual_host), found ? *found : std::shared_ptr<const VirtualHost>()));
  }
  VirtualHost nobody;  // no route: 404
  nobody.name = "blackhole:" + std::to_string(port_);
  table.fallback =
      reuse(std::move(nobody), old ? old->fallback : std::shared_ptr<const VirtualHost>());
  return reuse(std::move(table), old);
}

}  // namespace sallyport::mesh
