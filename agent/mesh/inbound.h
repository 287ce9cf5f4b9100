// What enters the pod: the ports of this workload as Istio's virtualInbound listener has them, and
// the pure decisions of a connection's way in (istio-api.md 2.11, 2.15).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/mesh/authorization.h"
#include "agent/mesh/peer_authentication.h"
#include "agent/mesh/port_kind.h"
#include "agent/mesh/route.h"
#include "agent/sniff/sniff.h"

namespace sallyport::mesh {

struct Snapshot;
struct RouteTable;

struct InboundPort {
  std::string name;   // "0.0.0.0_8080", "virtualInbound"
  uint16_t port = 0;  // the container's; 0: any other
  PortKind kind = PortKind::detect;
  MutualTlsChoice mutual_tls;
  ClusterPtr cluster;  // inbound|8080||, InboundPassthroughCluster
  // One virtual host for every Host: "inbound|http|8080", whose route is "default".
  std::shared_ptr<const RouteTable> http;
  ResourceRefPtr service;  // the Service, ServiceEntry or Sidecar that declares it; null: none does
  bool operator==(const InboundPort&) const = default;
};
using InboundPortPtr = std::shared_ptr<const InboundPort>;

struct Inbound {
  std::unordered_map<uint16_t, InboundPortPtr> by_port;
  InboundPortPtr other;            // every other port
  AuthorizationPtr authorization;  // null: none selects this workload
  // SPIFFE trust domains whose clients are let in: the mesh's own and its aliases.
  std::vector<std::string> trust_domains;
};

const InboundPort& inbound_port(const Inbound& inbound, uint16_t port);

enum class InboundAction : uint8_t {
  terminate,  // mutual TLS of the mesh, then inside() decides
  http,       // plaintext
  tcp,        // bytes as they are: plaintext, or the app's own TLS
  refuse,     // no filter chain: closed, flag NR
};
struct InboundPlan {
  InboundAction action = InboundAction::refuse;
  std::string_view why;  // for the log and explain; a constant
};
// Whether bytes have to be seen before decide_inbound can tell (Istio's listener filters).
bool must_sniff(const InboundPort& port);
// With the first bytes; `preface` is opaque for a client that stays silent.
InboundPlan decide_inbound(const InboundPort& port, const sniff::Preface& preface);
// What a terminated connection carries: HTTP or opaque bytes. `offered`: the client's ALPN list;
// `inner`: the first decrypted bytes.
bool must_sniff_inside(const InboundPort& port, const std::vector<std::string>& offered);
InboundAction inside(const InboundPort& port, const std::vector<std::string>& offered,
                     const sniff::Preface& inner);

}  // namespace sallyport::mesh
