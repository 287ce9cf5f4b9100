// A cluster: where requests can go and how they get there, compiled from ServiceEntry, Service and
// DestinationRule. Immutable; shared between snapshots as long as nothing of it changes.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/core/limits.h"
#include "agent/core/resource_ref.h"
#include "agent/mesh/load_policy.h"
#include "agent/mesh/workload_facts.h"

namespace sallyport {

inline bool operator==(const Error& a, const Error& b) {
  return a.fault == b.fault && a.side == b.side && a.retryable == b.retryable &&
         a.context == b.context && a.resource == b.resource;
}

namespace istio {
struct TlsDefaults;
}

namespace mesh {

enum class Discovery : uint8_t {
  original_dst,
  static_,
  strict_dns,
  logical_dns,
  dynamic_dns,  // the host that the client names (Host, SNI), at the port that it dialled
};
enum class Balancing : uint8_t { least_request, round_robin, random };
// istio_mutual: with the workload's own identity, to a peer of the mesh.
enum class Originate : uint8_t { none, simple, mutual, istio_mutual };
// A header before everything else, TLS included, that names the client (sniff/proxy_protocol.h).
enum class ProxyProtocol : uint8_t { none, v1, v2 };

// An endpoint as configured: an address, a unix socket, or a name to be resolved (strict_dns,
// logical_dns).
struct Endpoint {
  IpAddress ip;
  std::string host;
  uint16_t port = 0;
  uint32_t weight = 1;
  uint16_t group = 0;         // of LoadPolicy::groups, where there are any
  std::string locality;       // "region/zone/subzone"
  SocketAddress unix_socket;  // set: instead of ip, host and port
  // Speaks Istio's mutual TLS: label security.istio.io/tlsMode, and its port's PeerAuthentication
  // is not DISABLE. What TlsOrigination::automatic asks.
  bool mesh_tls = false;
  Boxed<WorkloadFacts> workload;  // who serves there; none: nothing is known of it
  bool operator==(const Endpoint&) const = default;

  bool by_name() const { return !ip.is_set() && !unix_socket.is_set(); }  // `host` is resolved
  SocketAddress address() const {                                         // REQUIRES: !by_name()
    return unix_socket.is_set() ? unix_socket : SocketAddress(ip, port);
  }
};

struct TlsOrigination {
  Originate mode = Originate::none;
  // Auto mTLS: only to endpoints with mesh_tls, plaintext to the others. False: a rule said so, for
  // all endpoints.
  bool automatic = false;
  std::string sni;                 // empty with auto_sni: from the request's Host, without port
  bool auto_sni = false;           // HTTP clusters without sni
  std::vector<std::string> names;  // subjectAltNames: one must match
  bool auto_san = false;           // names empty and sni unset: the SNI (Host) must match a SAN
  bool skip_verify = false;
  std::string certificate;  // certs::Vault name ("default": the workload's own); empty: none
  // certs::Vault name, "system" for the OS bundle; empty only with skip_verify.
  std::string roots;
  std::shared_ptr<const istio::TlsDefaults> parameters;  // of the mesh config; null: defaults
  ResourceRefPtr rule;                                   // the DestinationRule
  int line = 0;                                          // of its tls block
  bool operator==(const TlsOrigination&) const = default;
  // A rule wraps what the client says in TLS of its own: not Istio's mutual TLS, which carries
  // everything.
  bool of_rule() const { return mode == Originate::simple || mode == Originate::mutual; }
};

// Equal content; refs to resources are compared as pointers.
struct Cluster {
  std::string name;   // "outbound|80||edition.cnn.com", "PassthroughCluster", ...
  std::string host;   // service FQDN
  uint16_t port = 0;  // service port
  Discovery discovery = Discovery::static_;
  Balancing balancing = Balancing::least_request;
  std::vector<Endpoint> endpoints;
  // Connections come from this address of ours (Envoy's upstreamBindConfig); unset: the kernel's
  // choice.
  IpAddress source_v4, source_v6;
  // Not 0: they come from their client's own address, with this mark (TPROXY; Envoy's
  // original_src).
  uint32_t client_source_mark = 0;
  // Of resolution NONE with targetPort: replaces the dialled port; 0: keep that.
  uint16_t original_dst_port = 0;
  TlsOrigination tls;
  ProxyProtocol proxy_protocol = ProxyProtocol::none;  // what connections to it begin with
  // Whether each of its connections is for one client alone.
  bool of_clients() const {
    return client_source_mark != 0 || proxy_protocol != ProxyProtocol::none;
  }
  std::chrono::milliseconds connect_timeout = limits::connect_timeout;
  // How soon a name is asked for again when the DNS servers failed (meshConfig.dnsRefreshRate).
  std::chrono::milliseconds dns_refresh_rate = limits::dns_refresh_on_error;
  std::chrono::milliseconds tcp_idle = limits::tcp_idle, http_idle = limits::http_idle;
  // connectionPool; unset: no limit but our own.
  std::optional<uint32_t> max_requests_per_connection, max_connections, max_pending_requests;
  std::optional<uint32_t> max_retries;
  Boxed<LoadPolicy> load;  // none: a plain cluster
  ResourceRefPtr service;  // ServiceEntry or Service; null for PassthroughCluster
  ResourceRefPtr rule;     // DestinationRule that applied; null when none
  ResourceRefPtr unready;  // one that would be an endpoint if it were Ready; null: there is none
  // Fail closed: nobody may be sent to, and why (a broken rule or resource).
  Boxed<Error> refused;
  // Made of `service`, `rule` and who serves it alone and without a finding: it holds for as long
  // as they do.
  bool settled = false;
  bool operator==(const Cluster&) const = default;
};
using ClusterPtr = std::shared_ptr<const Cluster>;

// Of a cluster without endpoints: "no endpoint is configured", or who is not ready.
std::string why_no_endpoint(const Cluster& cluster);

}  // namespace mesh
}  // namespace sallyport
