#include "agent/mesh/inbound.h"

#include "agent/mesh/mesh_alpn.h"

namespace sallyport::mesh {
namespace {

using istio::MutualTls;
using sniff::Protocol;

// HTTP/2 is carried as bytes until it is read.
InboundPlan plaintext(const InboundPort& port, const sniff::Preface& preface) {
  switch (port.kind) {
    case PortKind::http:
      if (preface.protocol == Protocol::http2)
        return {InboundAction::tcp, "HTTP/2 by prior knowledge: carried as bytes"};
      return {InboundAction::http, "plaintext on a port that is declared HTTP"};
    case PortKind::detect:
      if (preface.protocol == Protocol::http1)
        return {InboundAction::http, "plaintext, detected as HTTP/1"};
      return {InboundAction::tcp, "plaintext, carried as bytes"};
    default:
      return {InboundAction::tcp, "plaintext on a port that is declared TCP"};
  }
}

InboundPlan permissive(const InboundPort& port, const sniff::Preface& preface) {
  if (preface.protocol != Protocol::tls) return plaintext(port, preface);
  if (is_of_mesh(preface.alpn))
    return {InboundAction::terminate, "PERMISSIVE: mutual TLS of the mesh, by its ALPN"};
  if (port.kind == PortKind::http)
    return {InboundAction::refuse,
            "PERMISSIVE: TLS that is not the mesh's, on a port that is declared HTTP"};
  return {InboundAction::tcp, "PERMISSIVE: the application's own TLS, passed through"};
}

InboundPlan strict(const sniff::Preface& preface) {
  if (preface.protocol == Protocol::tls)
    return {InboundAction::terminate, "STRICT: mutual TLS of the mesh"};
  return {InboundAction::refuse,
          "STRICT: only mutual TLS of the mesh is let in, this is plaintext"};
}

InboundPlan disabled(const InboundPort& port, const sniff::Preface& preface) {
  if (preface.protocol == Protocol::tls && port.kind != PortKind::http)
    return {InboundAction::tcp, "DISABLE: the application's own TLS, passed through"};
  return plaintext(port, preface);
}

}  // namespace

const InboundPort& inbound_port(const Inbound& inbound, uint16_t port) {
  const auto at = inbound.by_port.find(port);
  return at == inbound.by_port.end() ? *inbound.other : *at->second;
}

bool must_sniff(const InboundPort& port) {
  if (port.mutual_tls.mode != MutualTls::disable) return true;
  return port.kind == PortKind::http || port.kind == PortKind::detect;
}

InboundPlan decide_inbound(const InboundPort& port, const sniff::Preface& preface) {
  if (port.mutual_tls.refused)
    return {InboundAction::refuse, "a PeerAuthentication for this port can't be read"};
  switch (port.mutual_tls.mode) {
    case MutualTls::strict:
      return strict(preface);
    case MutualTls::disable:
      return disabled(port, preface);
    default:
      return permissive(port, preface);
  }
}

bool must_sniff_inside(const InboundPort& port, const std::vector<std::string>& offered) {
  if (port.kind == PortKind::http) return true;
  return port.kind == PortKind::detect &&
         (offers(offered, "istio-http/1.0") || offers(offered, "istio-http/1.1"));
}

InboundAction inside(const InboundPort& port, const std::vector<std::string>& offered,
                     const sniff::Preface& inner) {
  if (!must_sniff_inside(port, offered)) return InboundAction::tcp;
  return inner.protocol == Protocol::http2 ? InboundAction::tcp : InboundAction::http;
}

}  // namespace sallyport::mesh
