#include "agent/mesh/gateway.h"

#include <algorithm>
#include <tuple>

#include "agent/mesh/decide.h"
#include "agent/mesh/mesh_alpn.h"

namespace sallyport::mesh {
namespace {

const GatewayChainPtr* chain_for(const GatewayListener& listener, std::string_view sni) {
  if (const auto* found = listener.by_sni.find(sni)) return found;
  return listener.any_tls ? &listener.any_tls : nullptr;
}

GatewayPlan refuse_chain(std::string_view why, const GatewayChainPtr* chain = nullptr) {
  return {GatewayAction::refuse, chain, why};
}

GatewayPlan answer_bad_request(std::string_view why, const GatewayChainPtr& chain) {
  return {GatewayAction::not_http, &chain, why};
}

GatewayPlan plan_plaintext(const GatewayListener& listener, const GatewayHello& hello) {
  using sniff::Protocol;
  const GatewayChainPtr& chain = listener.plain;
  if (!chain) {
    if (hello.protocol == Protocol::http1)
      return refuse_chain("plain HTTP on a port that serves TLS");
    return refuse_chain("no TLS on a port that serves TLS");
  }
  if (chain->refused) return refuse_chain(chain->refused->context, &chain);
  if (!chain->http) return {GatewayAction::tcp, &chain, "plaintext on a TCP server"};
  if (hello.protocol == Protocol::http2)
    return answer_bad_request("HTTP/2 is not read yet: this server speaks HTTP/1.1", chain);
  return {GatewayAction::http, &chain, "plaintext on an HTTP server"};
}

GatewayPlan plan_tls(const GatewayListener& listener, const GatewayHello& hello) {
  const auto* chain = chain_for(listener, hello.sni);
  if (!chain) {
    if (listener.plain && !listener.plain->http && !listener.plain->refused)
      return {GatewayAction::tcp, &listener.plain, "TLS as bytes on a TCP server"};
    const bool closed = listener.plain && listener.plain->refused;
    if (listener.plain && listener.by_sni.empty() && !closed)
      return answer_bad_request("TLS on a port that serves plain HTTP", listener.plain);
    if (closed && listener.by_sni.empty())
      return refuse_chain(listener.plain->refused->context, &listener.plain);
    return refuse_chain(hello.sni.empty()
                            ? "TLS without an SNI, and no server takes that"
                            : "no server of this port has the SNI that was asked for");
  }
  const GatewayChain& found = **chain;
  if (found.refused) return refuse_chain(found.refused->context, chain);
  if (found.mesh_only && !hello.of_mesh)
    return refuse_chain("AUTO_PASSTHROUGH takes mutual TLS of the mesh only, by its ALPN", chain);
  if (found.tls) return {GatewayAction::terminate, chain, "TLS is ended here, by SNI"};
  return {GatewayAction::tcp, chain, "TLS is passed through, by SNI"};
}

}  // namespace

const GatewayListener* find_listener(const GatewayPorts& ports, const SocketAddress& local) {
  if (!ports.by_address.empty()) {
    const auto at = ports.by_address.find(local);
    if (at != ports.by_address.end()) return at->second.get();
  }
  const auto at = ports.by_port.find(local.port());
  return at == ports.by_port.end() ? nullptr : at->second.get();
}

bool clients_speak_first(const GatewayListener& listener) {
  return !listener.plain || !listener.plain->tcp;
}

bool must_sniff(const GatewayListener& listener) {
  return !listener.plain || listener.plain->http || listener.any_tls || !listener.by_sni.empty();
}

GatewayHello hello_of(const sniff::Preface& preface) {
  return {.protocol = preface.protocol, .sni = preface.sni, .of_mesh = is_of_mesh(preface.alpn)};
}

GatewayPlan decide_gateway(const GatewayListener& listener, const GatewayHello& hello) {
  return hello.protocol == sniff::Protocol::tls ? plan_tls(listener, hello)
                                                : plan_plaintext(listener, hello);
}

bool asks_anew(const TlsTermination& now, const TlsTermination& then) {
  const auto proof = [](const TlsTermination& of) {
    return std::tie(of.mode, of.roots, of.names, of.certificate_spki, of.certificate_hash,
                    of.skip_verify);
  };
  return now.asks_for_client() && proof(now) != proof(then);
}

bool leads_to(const TcpRoute& route, const Cluster& cluster) {
  if (route.cluster.get() == &cluster) return true;
  return std::any_of(route.split.begin(), route.split.end(),
                     [&](const auto& one) { return one.cluster.get() == &cluster; });
}

RequestPlan decide_gateway_request(const GatewayChain& chain, const RequestFacts& request,
                                   bool https) {
  RequestPlan plan = decide_request(*chain.http, request);
  plan.to_https = plan.virtual_host->https_only && !https;
  return plan;
}

}  // namespace sallyport::mesh
