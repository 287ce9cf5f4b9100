#include "agent/mesh/compile_routes.h"

#include "agent/mesh/compile_actions.h"
#include "agent/mesh/compile_cluster.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {

struct RouteCompiler::Rule {
  const istio::VirtualService& service;
  std::string_view field;  // where its destinations stand
  uint16_t port;
  std::vector<istio::Finding>* findings;
};

Route RouteCompiler::plain(ClusterPtr cluster) const {
  Route route;
  route.name = "default";
  route.cluster = std::move(cluster);
  route.retry.attempts = input_.mesh.retry_attempts;
  return route;
}

// A destination without a port is the dialled one, whatever the service has (measured).
WeightedCluster RouteCompiler::destination(const Rule& rule,
                                           const istio::RouteDestination& to) const {
  WeightedCluster out;
  out.weight = to.weight;
  const auto& about = rule.service.metadata;
  const auto host =
      expand_short_name(to.destination.host, about.namespace_name, input_.mesh.cluster_domain);
  const uint16_t port = to.destination.port ? to.destination.port : rule.port;
  const auto name = outbound_name(port, host, to.destination.subset);
  if (const auto at = clusters_.find(name); at != clusters_.end()) {
    out.cluster = at->second;
  } else {
    out.missing = name;
    if (rule.findings) {
      rule.findings->push_back(finding(istio::Severity::error, about, std::string(rule.field),
                                       "IST0101: there is no " + name + ": requests get 503 NC",
                                       to.destination.line));
    }
  }
  if (to.headers == istio::Headers{}) return out;
  auto headers = to.headers;
  out.authority = take_authority(headers);
  out.headers = std::make_shared<const istio::Headers>(std::move(headers));
  return out;
}

std::vector<WeightedCluster> RouteCompiler::destinations(
    const Rule& rule, const std::vector<istio::RouteDestination>& all) const {
  std::vector<WeightedCluster> out;
  for (const auto& to : all) {
    if (all.size() > 1 && to.weight == 0) continue;
    out.push_back(destination(rule, to));
  }
  if (out.size() == 1) out.front().weight = 1;
  return out;
}

void RouteCompiler::add_destinations(const Rule& rule, const istio::HttpRoute& http,
                                     Route& route) const {
  route.split = destinations(rule, http.route);
  if (route.split.size() != 1) return;
  auto& only = route.split.front();
  if (!only.cluster || only.headers) return;
  route.cluster = only.cluster;
  route.split.clear();
}

std::vector<Mirror> RouteCompiler::mirrors(const Rule& rule, const istio::HttpRoute& http) const {
  std::vector<Mirror> out;
  Rule of_mirrors = rule;
  of_mirrors.field = "spec.http.mirrors.destination";
  for (const auto& one : http.mirrors) {
    const istio::RouteDestination to{.destination = one.destination};
    if (auto cluster = destination(of_mirrors, to).cluster)
      out.push_back({std::move(cluster), share(one.percent)});
  }
  return out;
}

Route RouteCompiler::route_of(const Rule& rule, const istio::HttpRoute& http,
                              const istio::HttpMatch* match) const {
  Route route;
  route.name = http.name;
  if (match && !match->name.empty()) route.name += "." + match->name;
  route.match = compile_match(match);
  route.timeout = http.timeout.value_or(route.timeout);
  route.retry = compile_retry(http, input_.mesh.retry_attempts);
  route.actions = compile_actions(http, match, mirrors(rule, http));
  route.from = rule.service.metadata.ref;
  route.line = http.line;
  if (http.redirect) {
    route.direct_status = http.redirect->code;
  } else if (http.direct_response) {
    route.direct_status = http.direct_response->status;
  } else {
    add_destinations(rule, http, route);
  }
  return route;
}

std::vector<Route> RouteCompiler::compile(const MeshService& service, uint16_t port,
                                          std::vector<istio::Finding>* findings) const {
  std::vector<Route> routes;
  for (const auto& http : service.http) {
    const Rule rule{*service.service, "spec.http.route.destination", port, findings};
    if (http.match.empty()) {
      routes.push_back(route_of(rule, http, nullptr));
      break;  // Nothing after it is reached.
    }
    for (const auto& match : http.match) {
      if (match.port && match.port != port) continue;
      routes.push_back(route_of(rule, http, &match));
    }
  }
  return routes;
}

TcpRoute RouteCompiler::compile(const istio::VirtualService& service, const istio::L4Route& rule,
                                uint16_t port, std::vector<istio::Finding>* findings) const {
  TcpRoute route;
  route.split = destinations({service, "spec.route.destination", port, findings}, rule.route);
  for (auto& to : route.split) {
    if (!to.cluster) to.cluster = missing_cluster(to.missing, service.metadata.ref);
  }
  if (route.split.size() != 1) return route;
  route.cluster = route.split.front().cluster;
  route.split.clear();
  return route;
}

}  // namespace sallyport::mesh
