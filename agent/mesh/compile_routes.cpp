#include "agent/mesh/compile_routes.h"

#include "agent/mesh/compile_actions.h"
#include "agent/mesh/compile_cluster.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {

struct RouteCompiler::Rule {
  const istio::VirtualService& service;
  std::string field;  // where its destinations stand: "spec.http[0].route"
  uint16_t port;
  std::vector<istio::Finding>* findings;
  ResourceRefPtr from = nullptr;  // http: a delegate's is its own
  bool mirrors = false;           // they get copies; nobody waits for the answers
};

namespace {

// "spec.http[2]"; a delegate's rule has no index in the root: "spec.http".
std::string path_of(const istio::VirtualService& service, const istio::HttpRoute& http) {
  for (std::size_t i = 0; i < service.http.size(); i++) {
    if (service.http[i].line == http.line && !service.http[i].delegate) {
      return "spec.http[" + std::to_string(i) + "]";
    }
  }
  return "spec.http";
}

const istio::HttpRetry* of_mesh(const CompileInput& input) {
  return input.mesh.default_retries ? &*input.mesh.default_retries : nullptr;
}

}  // namespace

RouteCompiler::RouteCompiler(const CompileInput& input, const Clusters& clusters)
    : input_(input), clusters_(clusters) {
  if (input.proxy.type != istio::Proxy::Type::router) return;
  for (const auto& [name, cluster] : clusters) {
    if (cluster->port == 0) continue;
    const auto [at, first] = only_port_.try_emplace(cluster->host, cluster->port);
    if (!first && at->second != cluster->port) at->second = 0;
  }
}

// A destination without a port: on a sidecar the dialled one, whatever the service has (measured);
// on a gateway the service's only one.
uint16_t RouteCompiler::port_of(const istio::Destination& to, std::string_view host,
                                uint16_t asked) const {
  if (to.port) return to.port;
  const auto only = only_port_.find(host);
  return only == only_port_.end() || only->second == 0 ? asked : only->second;
}

Route RouteCompiler::plain(ClusterPtr cluster) const {
  Route route;
  route.name = "default";
  route.cluster = std::move(cluster);
  route.retry = compile_retry(of_mesh(input_));
  return route;
}

WeightedCluster RouteCompiler::destination(const Rule& rule, const istio::RouteDestination& to,
                                           std::size_t index) const {
  WeightedCluster out;
  out.weight = to.weight;
  const auto& about = rule.service.metadata;
  const auto host =
      expand_short_name(to.destination.host, about.namespace_name(), input_.mesh.cluster_domain);
  const uint16_t port = port_of(to.destination, host, rule.port);
  const auto name = outbound_name(port, host, to.destination.subset);
  if (const auto at = clusters_.find(name); at != clusters_.end()) {
    out.cluster = at->second;
  } else {
    out.missing = name;
    if (rule.findings) {
      auto field = rule.field + "[" + std::to_string(index) + "].destination";
      rule.findings->push_back(
          finding(istio::Severity::warning, about, std::move(field),
                  "IST0101: there is no " + name +
                      (rule.mirrors ? ": no copies are sent to it" : ": requests get 503 NC"),
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
  for (std::size_t i = 0; i < all.size(); i++) {
    if (all.size() > 1 && all[i].weight == 0) continue;
    out.push_back(destination(rule, all[i], i));
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
  of_mirrors.field = path_of(rule.service, http) + ".mirrors";
  of_mirrors.mirrors = true;
  for (std::size_t i = 0; i < http.mirrors.size(); i++) {
    const auto& one = http.mirrors[i];
    const istio::RouteDestination to{.destination = one.destination};
    if (auto cluster = destination(of_mirrors, to, i).cluster)
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
  route.retry = compile_retry(http, of_mesh(input_));
  route.actions = compile_actions(http, match, mirrors(rule, http));
  route.from = rule.from;
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

std::vector<Route> RouteCompiler::compile(const ServiceRules& service, uint16_t port,
                                          std::vector<istio::Finding>* findings) const {
  std::vector<Route> routes;
  for (std::size_t i = 0; i < service.http.size(); i++) {
    const auto& http = service.http[i];
    const Rule rule{*service.service, path_of(*service.service, http) + ".route", port, findings,
                    service.from[i]};
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
  route.split = destinations({service, "spec.route", port, findings}, rule.route);
  for (auto& to : route.split) {
    if (!to.cluster) to.cluster = missing_cluster(to.missing, service.metadata.ref);
  }
  if (route.split.size() != 1) return route;
  route.cluster = route.split.front().cluster;
  route.split.clear();
  return route;
}

}  // namespace sallyport::mesh
