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
#include "agent/mesh/inbound.h"
#include "agent/mesh/route.h"

namespace sallyport::mesh {

// Hash maps by string that can be asked with a string_view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};
template <class V>
using ByText = std::unordered_map<std::string, V, TextHash, std::equal_to<>>;

struct VirtualHost {
  std::string name;           // "edition.cnn.com:80"
  std::vector<Route> routes;  // the first that matches; none: 404 NR
  ResourceRefPtr from;
  bool operator==(const VirtualHost&) const = default;
};

// Hosts of one route table: exact, then the longest matching wildcard.
template <class T>
struct HostTable {
  ByText<T> exact;       // lower case, without port and brackets
  ByText<T> suffix;      // ".example.org" for `*.example.org`; "" for `*`
  bool partial = false;  // has a suffix like "-eu.example.org", which begins inside a label
  // nullptr when nothing matches. `host` is lower case.
  const T* find(std::string_view host) const;
  bool operator==(const HostTable&) const = default;
};

struct RouteTable {  // "80": every HTTP service of that port
  std::string name;
  HostTable<std::shared_ptr<const VirtualHost>> hosts;
  std::shared_ptr<const VirtualHost> fallback;  // allow_any or block_all
  // A host of it has TLS originated or is closed: HTTP/2 whose host can't be read yet must not pass
  // as bytes.
  bool guarded = false;
  bool operator==(const RouteTable&) const = default;
};

struct TcpRoute {
  std::string name;                    // "-" in logs when empty
  ClusterPtr cluster;                  // never null once compiled, unless `split`
  std::vector<WeightedCluster> split;  // one of these, by weight
  bool operator==(const TcpRoute&) const = default;
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

struct Snapshot {
  uint64_t version = 0;
  istio::Proxy proxy;
  istio::MeshConfig mesh;
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
  TcpRoute unmatched;  // what nothing declares: passthrough, or black_hole under REGISTRY_ONLY
  std::shared_ptr<const RouteTable>
      unlisted;  // HTTP requests on a port that declares none (any more)
  Clusters clusters;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

template <class T>
const T* HostTable<T>::find(std::string_view host) const {
  if (const auto at = exact.find(host); at != exact.end()) return &at->second;
  if (suffix.empty() || host.empty()) return nullptr;
  // From the second byte: `*` stands for at least one.
  for (std::size_t i = 1; i <= host.size(); i++) {
    if (i < host.size() && host[i] != '.' && !partial) continue;
    if (const auto at = suffix.find(host.substr(i)); at != suffix.end()) return &at->second;
  }
  return nullptr;
}

}  // namespace sallyport::mesh
