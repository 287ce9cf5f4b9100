#include "agent/mesh/decide.h"

#include <algorithm>

#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

const Listener& listener_for(const Snapshot& snapshot, const SocketAddress& destination,
                             uint16_t port) {
  // Exact address first, then every address of the port, then the rest; never the other way round
  // (2.6).
  if (const auto at = snapshot.by_address.find(destination); at != snapshot.by_address.end()) {
    return *at->second;
  }
  if (const auto at = snapshot.by_port.find(port); at != snapshot.by_port.end()) return *at->second;
  return *snapshot.catch_all;
}

bool is_own_address(const Snapshot& snapshot, const IpAddress& ip) {
  if (ip.is_loopback() || ip.is_unspecified()) return true;
  const auto& own = snapshot.proxy.addresses;
  return std::any_of(own.begin(), own.end(),
                     [&](const std::string& text) { return IpAddress::parse(text) == ip; });
}

// The capture ports themselves as a destination: passing that on would come back here for ever
// (2.15).
bool is_loop(const Snapshot& snapshot, const SocketAddress& destination) {
  if (!destination.is_set()) return true;
  const auto port = destination.port();
  if (port == snapshot.mesh.proxy_listen_port) return true;
  return port == snapshot.mesh.proxy_inbound_listen_port &&
         is_own_address(snapshot, destination.ip());
}

struct TcpMatch {
  const TcpRoute* route = nullptr;
  std::string_view why;
};

// Where bytes that are not read as HTTP go; the route is null where nothing declares them.
TcpMatch match_tcp(const Listener& listener, const SocketAddress& destination,
                   const sniff::Preface& preface) {
  const bool tls = preface.protocol == sniff::Protocol::tls;
  const auto by_sni = [&](const HostTable<TcpRoute>& table) {
    return tls && !preface.sni.empty() ? table.find(preface.sni) : nullptr;
  };
  for (const auto& candidate : listener.by_cidr) {
    if (!candidate.block.contains(destination.ip())) continue;
    if (const auto* route = by_sni(candidate.by_sni)) return {route, "by CIDR and SNI"};
    if (candidate.tcp) return {&*candidate.tcp, "by CIDR"};
    return {};
  }
  if (const auto* route = by_sni(listener.by_sni)) return {route, "by SNI"};
  if (listener.tcp) return {&*listener.tcp, "by address and port"};
  return {};
}

// By weight; null where there is nothing to choose from.
const WeightedCluster* pick(const std::vector<WeightedCluster>& split, uint32_t random) {
  if (split.empty()) return nullptr;
  uint64_t total = 0;
  for (const auto& one : split) total += one.weight;
  uint64_t at = random % total;
  for (const auto& one : split) {
    if (at < one.weight) return &one;
    at -= one.weight;
  }
  return &split.back();
}

ConnectionPlan refuse(ClusterPtr cluster, std::string_view why) {
  ConnectionPlan plan;
  plan.cluster = std::move(cluster);
  plan.why = why;
  return plan;
}

}  // namespace

bool registry_only(const Snapshot& snapshot) {
  return !snapshot.unmatched.cluster || snapshot.unmatched.cluster == snapshot.black_hole;
}

const ClusterPtr& cluster_of(const TcpRoute& route, uint32_t random) {
  const auto* chosen = pick(route.split, random);
  return chosen ? chosen->cluster : route.cluster;
}

namespace {

ConnectionPlan send_to(const TcpRoute& route, std::string_view why, uint32_t random) {
  const auto& cluster = cluster_of(route, random);
  if (cluster->refused) {
    auto plan = refuse(cluster, cluster->refused->context);
    plan.tcp = &route;
    return plan;
  }
  ConnectionPlan plan;
  plan.action = Action::tcp;
  plan.tcp = &route;
  plan.cluster = cluster;
  if (!route.name.empty()) plan.route_name = route.name;
  plan.why = why;
  return plan;
}

const Route* first_match(const std::vector<Route>& routes, const RequestFacts& request) {
  for (const auto& route : routes) {
    if (!route.match || matches(*route.match, request)) return &route;
  }
  return nullptr;
}

}  // namespace

Arrival find_listener(const Snapshot& snapshot, const SocketAddress& destination) {
  Arrival arrival;
  if (is_loop(snapshot, destination)) {
    arrival.listener = snapshot.catch_all.get();
    arrival.sniff = false;
    arrival.refused = true;
    return arrival;
  }
  const Listener& listener = listener_for(snapshot, destination, destination.port());
  arrival.listener = &listener;
  arrival.sniff = listener.http || !listener.by_sni.exact.empty() ||
                  !listener.by_sni.suffix.empty() || listener.declared_tls;
  if (listener.declared_http || listener.declared_tls) return arrival;
  const TcpRoute* route = match_tcp(listener, destination, {}).route;
  arrival.unmatched = !route;
  if (!route) route = &snapshot.unmatched;
  if (route->cluster && !route->cluster->refused) arrival.silent_client = route;
  return arrival;
}

ConnectionPlan decide_connection(const Snapshot& snapshot, const Arrival& arrival,
                                 const SocketAddress& destination, const sniff::Preface& preface,
                                 uint32_t random) {
  if (arrival.refused) {
    return refuse(snapshot.black_hole,
                  "the proxy's own port was dialled: passing it on would loop");
  }
  const Listener& listener = *arrival.listener;
  if (listener.http && preface.protocol == sniff::Protocol::http1) {
    ConnectionPlan plan;
    plan.action = Action::http;
    plan.routes = listener.http.get();
    plan.why = "HTTP: routed by Host";
    return plan;
  }
  if (const auto match = match_tcp(listener, destination, preface); match.route) {
    return send_to(*match.route, match.why, random);
  }
  if (listener.http && preface.protocol == sniff::Protocol::http2) {
    const auto at = snapshot.http2.find(destination);
    if (at != snapshot.http2.end()) {
      return send_to(at->second, "HTTP/2 as bytes, by address and port", random);
    }
  }
  const bool closed_else = snapshot.unmatched.cluster->refused.has_value();
  if (listener.http && preface.protocol == sniff::Protocol::http2 &&
      (listener.http->guarded || closed_else)) {
    return refuse(
        snapshot.black_hole,
        "HTTP/2 is not read yet: as bytes it would pass by what the hosts of this port ask for "
        "(TLS from a DestinationRule, a closed host, or REGISTRY_ONLY)");
  }
  return send_to(snapshot.unmatched,
                 "no service here: outboundTrafficPolicy ALLOW_ANY passes it on", random);
}

RequestPlan decide_request(const Snapshot& snapshot, uint16_t port,
                           const SocketAddress& destination, const RequestFacts& request) {
  const Listener& listener = listener_for(snapshot, destination, port);
  const RouteTable* table = listener.http.get();
  if (&listener == snapshot.catch_all.get() && !table) table = snapshot.unlisted.get();
  RequestPlan plan;
  if (!table) {  // Became a TCP or TLS port while the connection was open.
    plan.status = 404;
    return plan;
  }
  return decide_request(*table, request);
}

RequestPlan decide_request(const RouteTable& table, const RequestFacts& request) {
  RequestPlan plan;
  HostRoom room;
  const auto* found = table.hosts.find(host_key(request.authority, room));
  plan.virtual_host = found ? found->get() : table.fallback.get();
  plan.route = first_match(plan.virtual_host->routes, request);
  if (!plan.route) {
    plan.status = 404;
    return plan;
  }
  plan.status = plan.route->direct_status;
  plan.destination = pick(plan.route->split, request.random);
  const ClusterPtr& cluster = plan.destination ? plan.destination->cluster : plan.route->cluster;
  if (cluster) plan.cluster = &cluster;
  return plan;
}

RequestPlan decide_inbound_request(const InboundPort& port) {
  RequestPlan plan;
  plan.virtual_host = port.http->fallback.get();
  plan.route = &plan.virtual_host->routes.front();
  plan.cluster = &plan.route->cluster;
  return plan;
}

}  // namespace sallyport::mesh
