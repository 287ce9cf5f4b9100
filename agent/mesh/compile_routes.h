// The http rules of a VirtualService become routes of a virtual host (istio/istio:
// pilot/pkg/networking/core/route/route.go; istio-api.md 1.4, 3.6, 7). Pure.
#pragma once
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/virtual_services.h"

namespace sallyport::mesh {

class RouteCompiler {
public:
  // Both must outlive it. `clusters`: those of the snapshot that is being made; complete before
  // the first compile().
  RouteCompiler(const CompileInput& input, const Clusters& clusters);

  // The rules of `service` for requests to `port`, in their order. Empty: none is for that port,
  // and the service is reached as if there were no VirtualService. `findings` (may be null) learns
  // of destinations that are not there.
  std::vector<Route> compile(const ServiceRules& service, uint16_t port,
                             std::vector<istio::Finding>* findings) const;
  // A rule of tls or tcp. What it names and is not there is a closed cluster.
  TcpRoute compile(const istio::VirtualService& service, const istio::L4Route& rule, uint16_t port,
                   std::vector<istio::Finding>* findings) const;
  // Where nothing else is said: the mesh's retries, no timeout.
  Route plain(ClusterPtr cluster) const;

private:
  struct Rule;
  uint16_t port_of(const istio::Destination& to, std::string_view host, uint16_t asked) const;
  Route route_of(const Rule& rule, const istio::HttpRoute& http,
                 const istio::HttpMatch* match) const;
  void add_destinations(const Rule& rule, const istio::HttpRoute& http, Route& route) const;
  std::vector<WeightedCluster> destinations(const Rule& rule,
                                            const std::vector<istio::RouteDestination>& all) const;
  std::vector<Mirror> mirrors(const Rule& rule, const istio::HttpRoute& http) const;
  WeightedCluster destination(const Rule& rule, const istio::RouteDestination& to,
                              std::size_t index) const;

  const CompileInput& input_;
  const Clusters& clusters_;
  // Of a gateway: of a service's host the port, where it has only one; 0: it has several.
  std::unordered_map<std::string_view, uint16_t> only_port_;
};

}  // namespace sallyport::mesh
