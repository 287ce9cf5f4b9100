// Everything a connection may ask of the configuration, as look-ups in constant time in the number
// of services. Immutable once built; published whole (core/published.h); freed on the configuration
// thread.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/istio/resources.h"
#include "agent/mesh/cluster.h"
#include "agent/mesh/gateway.h"
#include "agent/mesh/host_table.h"
#include "agent/mesh/inbound.h"
#include "agent/mesh/route.h"

namespace sallyport::mesh {

struct VirtualHost {
  std::string name;           // "edition.cnn.com:80"
  std::vector<Route> routes;  // the first that matches; none: 404 NR
  ResourceRefPtr from;
  bool https_only = false;  // of a gateway (httpsRedirect): what came in plaintext is redirected
  bool operator==(const VirtualHost&) const = default;
};

struct RouteTable {  // "80": every HTTP service of that port
  std::string name;
  HostTable<std::shared_ptr<const VirtualHost>> hosts;
  std::shared_ptr<const VirtualHost> fallback;  // allow_any or block_all
  // A host of it has TLS originated or is closed: HTTP/2 whose host can't be read yet must not pass
  // as bytes.
  bool guarded = false;
  bool by_fields = false;  // of a gateway: a route of it asks for header fields
  bool operator==(const RouteTable&) const = default;
};

// TCP and TLS services of one CIDR block. The longest block that holds the destination decides, as
// Envoy's filter chains do: without a match in it, a wider one is not asked.
struct CidrRoute {
  Cidr block;
  HostTable<TcpRoute> by_sni;   // TLS services
  std::optional<TcpRoute> tcp;  // TCP services
  bool operator==(const CidrRoute&) const = default;
};

// What listens on one address:port in Istio's sense (behind 15001).
struct Listener {
  std::string name;            // "0.0.0.0_80", "10.1.2.3_443", "virtualOutbound"
  bool declared_tcp = false;   // only TCP services: no sniffing, server-first protocols work
  bool declared_http = false;  // HTTP declared here: bytes of a silent client are waited for
  bool declared_tls = false;   // TLS/HTTPS declared here
  std::shared_ptr<const RouteTable> http;  // null: HTTP here is opaque bytes
  HostTable<TcpRoute> by_sni;              // TLS services without an address
  std::vector<CidrRoute> by_cidr;          // longest prefix first
  std::optional<TcpRoute> tcp;             // TCP service of this address:port
  // Otherwise: Snapshot::unmatched.
  bool operator==(const Listener&) const = default;
};

using Clusters = std::unordered_map<std::string_view, ClusterPtr>;  // by their own `name`

struct AccessLogging;
class NameTable;
struct StandardMetricsConfig;
struct UdpTable;

struct Snapshot {
  uint64_t version = 0;
  istio::Proxy proxy;
  istio::MeshConfig mesh;
  std::shared_ptr<const AccessLogging> access_logging;   // telemetry.h
  std::shared_ptr<const StandardMetricsConfig> metrics;  // telemetry_metrics.h
  std::unordered_map<SocketAddress, std::shared_ptr<const Listener>, AddressHash>
      by_address;                                                         // IP:port
  std::unordered_map<uint16_t, std::shared_ptr<const Listener>> by_port;  // 0.0.0.0:port
  // HTTP ports of mesh services by address: where HTTP/2, whose requests are not read yet, goes as
  // bytes.
  std::unordered_map<SocketAddress, TcpRoute, AddressHash> http2;
  std::shared_ptr<const Listener> catch_all;  // "virtualOutbound": nothing declared
  ClusterPtr passthrough, black_hole;         // PassthroughCluster, BlackHoleCluster
  ClusterPtr inbound_passthrough;             // InboundPassthroughCluster
  Inbound inbound;                            // 15006
  GatewayPorts gateway;                       // of a router: what its Gateways open
  TcpRoute unmatched;  // what nothing declares: passthrough, or black_hole under REGISTRY_ONLY
  std::shared_ptr<const RouteTable>
      unlisted;  // HTTP requests on a port that declares none (any more)
  Clusters clusters;
  std::shared_ptr<const NameTable> names;  // name_table.h; null: DNS is not captured
  std::shared_ptr<const UdpTable> udp;     // decide_udp.h; null: UDP passes by
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace sallyport::mesh
