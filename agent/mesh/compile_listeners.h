// Clusters become listeners and route tables, as Istio generates them for a sidecar
// (istio-api.md 2.1, 2.3, 2.6, 2.7). Pure.
#pragma once
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/compile_routes.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/sidecar_scope.h"
#include "agent/mesh/virtual_services.h"

namespace sallyport::mesh {

class ListenerBuilder {
public:
  struct Sources {  // must outlive it
    const CompileInput& input;
    const Snapshot* previous;  // may be null
    const VirtualServiceIndex& virtual_services;
    const RouteCompiler& routes;
    const SidecarScope& scope;
  };
  ListenerBuilder(const Sources& sources, std::vector<istio::Finding>& findings);

  // `service` must outlive finish(). The oldest goes first: it keeps what two ask for.
  void add(const KnownService& service, const KnownPort& port, const ClusterPtr& cluster);
  // Closes a host (`*.suffix` too) on every port where nothing that was added declares it.
  void close_host(const std::string& host, const ClusterPtr& closed);
  // REQUIRES: passthrough and black_hole of `next` are set. Fills listeners, tables and
  // `unmatched`.
  void finish(Snapshot& next);

private:
  using HostPtr = std::shared_ptr<const VirtualHost>;
  struct Draft {
    Listener listener;
    RouteTable table;
    bool has_routes = false;
    bool only_tcp = true;
  };
  struct Name {  // put in after all hosts: a host's own name beats another's short name
    Draft* draft;
    std::string host;
    HostPtr virtual_host;
  };
  struct Guest {  // a detected service with addresses: known on its port's table too, if others
                  // make one
    const KnownService* service;
    uint16_t port;
    HostPtr virtual_host;
  };

  Draft& port_draft(uint16_t port);
  Draft& address_draft(const IpAddress& ip, uint16_t port);
  CidrRoute& cidr_route(Draft& draft, const Cidr& block);
  HostPtr old_host(const KnownService& service, uint16_t port) const;
  HostPtr virtual_host(const KnownService& service, const KnownPort& port,
                       const ClusterPtr& cluster);
  std::vector<Route> routes_of(const KnownService& service, uint16_t port,
                               const ClusterPtr& cluster);
  void add_unserved_hosts();
  void add_routes(Draft& draft, const KnownService& service, const HostPtr& virtual_host);
  // A rule of tls or tcp that holds here, with one of its matches (null: it has none).
  struct L4Rule {
    const istio::L4Match* match;
    TcpRoute route;
  };
  std::vector<L4Rule> l4_rules(const KnownService& service, uint16_t port, bool tls);
  void add_l4(Draft& draft, const KnownService& service, const L4Rule& rule);
  void add_tls_rules(const KnownService& service, uint16_t port, const std::vector<L4Rule>& rules);
  void add_http2(const KnownService& service, const KnownPort& port, const TcpRoute& route);
  void add_tls(const KnownService& service, const KnownPort& port, const TcpRoute& route);
  void add_tcp(const KnownService& service, const KnownPort& port, const TcpRoute& route);
  void add_detected(const KnownService& service, const KnownPort& port, const TcpRoute& route);
  void set_tcp(Draft& draft, const KnownService& service, const KnownPort& port,
               const TcpRoute& route);
  void close_hosts(Draft& draft) const;
  std::shared_ptr<const RouteTable> seal_table(Draft& draft, const Listener* old) const;
  std::shared_ptr<const Listener> seal(Draft& draft,
                                       const std::shared_ptr<const Listener>& old) const;
  void make_fallback(const Snapshot& next);
  void finish_unlisted(Snapshot& next);

  const CompileInput& input_;
  const Snapshot* previous_;
  const VirtualServiceIndex& virtual_services_;
  const RouteCompiler& routes_;
  const SidecarScope& scope_;
  std::vector<istio::Finding>& findings_;
  std::unordered_set<std::string_view> served_;  // hosts of services
  std::map<uint16_t, Draft> ports_;
  std::map<SocketAddress, Draft> addresses_;
  std::vector<Name> names_;
  std::vector<Guest> guests_;
  std::vector<std::pair<std::string, HostPtr>> closed_;
  HostPtr fallback_;
  std::unordered_map<SocketAddress, TcpRoute, AddressHash> http2_;
};

}  // namespace sallyport::mesh
