// What a gateway's proxy listens on, and the pure decisions of a connection that comes in there
// (istio-api.md 1.5, 2.14; istio/istio:pilot/pkg/networking/core/gateway.go).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/core/address.h"
#include "agent/istio/gateway.h"
#include "agent/mesh/host_table.h"
#include "agent/mesh/match.h"
#include "agent/mesh/route.h"
#include "agent/sniff/sniff.h"

namespace sallyport::mesh {

struct RouteTable;
struct RequestPlan;

// How a server ends its clients' TLS.
struct TlsTermination {
  istio::ServerTlsMode mode = istio::ServerTlsMode::simple;  // no form of passthrough
  std::vector<std::string> certificates;  // certs::Vault names; two: RSA and ECDSA side by side
  std::string roots;                      // certs::Vault name; empty: nobody is verified
  std::vector<std::string> names;         // a client's certificate has one of these as SAN
  std::vector<std::string> certificate_spki, certificate_hash;  // or it is one of these
  bool skip_verify = false;  // a client's certificate counts, whoever signed it
  istio::TlsVersion lowest = istio::TlsVersion::automatic, highest = istio::TlsVersion::automatic;
  std::vector<std::string> cipher_suites, ecdh_curves;  // tlsDefaults' where it has none; or ours
  bool operator==(const TlsTermination&) const = default;

  bool asks_for_client() const { return mode != istio::ServerTlsMode::simple; }
  // Whoever asks for more than a chain asks for a certificate, as Envoy has it.
  bool needs_client() const {
    if (mode != istio::ServerTlsMode::optional_mutual) return asks_for_client();
    return !names.empty() || !certificate_spki.empty() || !certificate_hash.empty();
  }
};

using TlsTerminationPtr = std::shared_ptr<const TlsTermination>;

// Envoy's filter chain: a server, or a tls rule of a VirtualService behind one that passes TLS
// through.
struct GatewayChain {
  // "http.8080", "https.443.https-webapp.coolstore-gateway.default", "tcp.31400.tcp-echo....";
  // unique on its proxy.
  std::string name;
  TlsTerminationPtr tls;  // of this chain alone; null: the client's bytes are taken as they are
  std::shared_ptr<const RouteTable> http;  // null: its bytes go to `tcp`
  Boxed<TcpRoute> tcp;
  bool mesh_only = false;  // AUTO_PASSTHROUGH: for those that offer Istio's ALPN
  Boxed<Error> refused;    // closed: its Gateway can't be read
  ResourceRefPtr from;     // the Gateway
  int line = 0;            // of its server
  ResourceRefPtr rule;     // of `tcp`: the VirtualService; null: none, or the mesh's own
  int rule_line = 0;       // of its rule, or of the match that took the SNI
  bool operator==(const GatewayChain&) const = default;
};
using GatewayChainPtr = std::shared_ptr<const GatewayChain>;

struct GatewayListener {
  std::string name;           // "0.0.0.0_8443", "unix:///run/x.sock_0"
  IpAddress address;          // unset: every address
  uint16_t port = 0;          // that is bound: the Service's targetPort
  SocketAddress unix_socket;  // set: instead of address and port
  HostTable<GatewayChainPtr> by_sni;
  GatewayChainPtr any_tls;  // TLS with any other SNI, or none; null: there is none
  GatewayChainPtr plain;    // what is no TLS, and TLS that nothing else takes; null: there is none
  bool operator==(const GatewayListener&) const = default;

  SocketAddress bound_to() const {  // unset: to every address
    if (unix_socket.is_set()) return unix_socket;
    return address.is_set() ? SocketAddress(address, port) : SocketAddress();
  }
};
using GatewayListenerPtr = std::shared_ptr<const GatewayListener>;

struct GatewayPorts {
  std::unordered_map<uint16_t, GatewayListenerPtr> by_port;  // bound to every address
  std::unordered_map<SocketAddress, GatewayListenerPtr, AddressHash> by_address;
  bool empty() const { return by_port.empty() && by_address.empty(); }
};
// `local`: where a connection arrived. Null: nothing is opened there (any more).
const GatewayListener* find_listener(const GatewayPorts& ports, const SocketAddress& local);

enum class GatewayAction : uint8_t {
  terminate,  // TLS, then after_tls() decides
  http,       // plaintext
  tcp,        // bytes as they are
  not_http,   // something else on a plain HTTP server: answered 400, flag DPE
  refuse,     // no filter chain: closed, flag NR
};
struct GatewayPlan {
  GatewayAction action = GatewayAction::refuse;
  const GatewayChainPtr* chain = nullptr;  // null: none matched; lives as long as the listener
  std::string_view why;                    // for the log and explain; a constant, or of the chain
};
// Whether bytes have to be seen before decide_gateway can tell.
bool must_sniff(const GatewayListener& listener);
// False where the client may wait for its server's first words: a server of protocol TCP.
bool clients_speak_first(const GatewayListener& listener);
struct GatewayHello {  // of a client's first bytes
  sniff::Protocol protocol = sniff::Protocol::opaque;
  std::string_view sni;
  bool of_mesh = false;  // its ALPN is Istio's
};
GatewayHello hello_of(const sniff::Preface& preface);  // which outlives it
GatewayPlan decide_gateway(const GatewayListener& listener, const GatewayHello& hello);
// Whether `now` asks clients for other proof of who they are than `then` did.
bool asks_anew(const TlsTermination& now, const TlsTermination& then);
// What is inside a TLS connection that was ended here.
inline GatewayAction after_tls(const GatewayChain& chain) {
  return chain.http ? GatewayAction::http : GatewayAction::tcp;
}
bool leads_to(const TcpRoute& route, const Cluster& cluster);  // maybe as one of several
// For each request, on the newest snapshot. REQUIRES: chain.http. `https`: how the client came, as
// far as that is trusted: what came in plaintext is redirected where the server says so.
RequestPlan decide_gateway_request(const GatewayChain& chain, const RequestFacts& request,
                                   bool https);

}  // namespace sallyport::mesh
