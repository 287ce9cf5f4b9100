// The pure decisions of a connection's way: facts and snapshot in, plan out. Synchronous, no I/O,
// table-tested. Where a connection's TLS mode is decided: the cluster that these return carries
// `tls` (mesh/cluster.h), compiled in mesh/compile_tls.cpp from the DestinationRule.
#pragma once
#include <string_view>

#include "agent/mesh/match.h"
#include "agent/mesh/snapshot.h"
#include "agent/sniff/sniff.h"

namespace sallyport::mesh {

// Step 1, before a byte is read: which listener, and may the upstream be opened meanwhile?
struct Arrival {
  const Listener* listener = nullptr;  // never null
  bool sniff = true;  // false: declared TCP, go straight to decide_connection with opaque
  // Where address and port alone yield one allowed TCP plan: it may be opened while the client is
  // silent. Lives as long as the snapshot.
  const TcpRoute* silent_client = nullptr;
  bool unmatched = false;  // no resource names address or port; the first bytes may yet
  bool refused = false;    // a loop (15001, 15006 or our own listener dialled): close
};
Arrival find_listener(const Snapshot& snapshot, const SocketAddress& destination);

// Step 2, with the first bytes: HTTP (then decide_request for each request), opaque bytes to a
// cluster, or refusal.
enum class Action : uint8_t { http, tcp, refuse };
// `routes`, `route_name`, `why` and `tcp` live as long as the snapshot.
struct ConnectionPlan {
  Action action = Action::refuse;
  const RouteTable* routes = nullptr;  // http
  ClusterPtr cluster;  // tcp: where to; refuse: BlackHoleCluster, or the closed one (`refused`)
  std::string_view route_name = "-";  // for the log
  std::string_view why;  // one sentence for explain and the log; the resource is the cluster's
  const TcpRoute* tcp = nullptr;  // that chose the cluster; null: none did
};
ConnectionPlan decide_connection(const Snapshot& snapshot, const Arrival& arrival,
                                 const SocketAddress& destination, const sniff::Preface& preface,
                                 uint32_t random = 0);  // decides between weighted destinations

// Whether what nothing declares is refused.
bool registry_only(const Snapshot& snapshot);

// One of the route's clusters, by weight. Lives as long as the route.
const ClusterPtr& cluster_of(const TcpRoute& route, uint32_t random);

// Step 3, for each request on the newest snapshot. All of it lives as long as the snapshot.
struct RequestPlan {
  const VirtualHost* virtual_host = nullptr;
  const Route* route = nullptr;  // null: 404 NR
  // Where to; with `refused` set it is answered 503 with that reason. Null: answered with `status`
  // (a redirect or directResponse of the route's actions, or block_all), or with 503 NC where
  // `destination` names what is missing.
  const ClusterPtr* cluster = nullptr;
  const WeightedCluster* destination = nullptr;  // of a route with several, or with headers
  int status = 0;
  bool to_https = false;  // of a gateway: redirected, whatever the route says
};
// By the host of one route table.
RequestPlan decide_request(const RouteTable& table, const RequestFacts& request);
// `port`: of the listener that took the connection (the dialled one). The route table of `snapshot`
// for it and `destination` is used, so that a change applies to open connections.
RequestPlan decide_request(const Snapshot& snapshot, uint16_t port,
                           const SocketAddress& destination, const RequestFacts& request);
// The same for what enters the pod: every Host goes to the application.
RequestPlan decide_inbound_request(const InboundPort& port);

}  // namespace sallyport::mesh
