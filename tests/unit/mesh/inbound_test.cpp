// What becomes of a connection into the pod, by the mode of its port, what the port is declared to
// speak, and the client's first bytes (istio-api.md 2.11, 7).
#include "agent/mesh/inbound.h"

#include <gtest/gtest.h>

namespace sallyport::mesh {
namespace {

using istio::MutualTls;
using sniff::Protocol;
using Alpn = std::vector<std::string>;

const Alpn no_alpn, mesh_http{"istio-http/1.1", "istio", "http/1.1"},
    mesh_http2{"istio-h2", "istio", "h2"}, mesh_tcp{"istio-peer-exchange", "istio"},
    browser{"h2", "http/1.1"};

InboundPort port(MutualTls mode, PortKind kind) {
  InboundPort out;
  out.kind = kind;
  out.mutual_tls.mode = mode;
  return out;
}

sniff::Preface preface(Protocol protocol, const Alpn& alpn = {}) {
  sniff::Preface out;
  out.protocol = protocol;
  out.alpn = alpn;
  return out;
}

struct Case {
  MutualTls mode;
  PortKind kind;
  Protocol protocol;
  Alpn alpn;
  InboundAction expect;
};

constexpr auto terminate = InboundAction::terminate, http = InboundAction::http,
               tcp = InboundAction::tcp, refuse = InboundAction::refuse;

const Case cases[] = {
    // STRICT: mutual TLS or nothing, whatever its ALPN.
    {MutualTls::strict, PortKind::http, Protocol::tls, mesh_http, terminate},
    {MutualTls::strict, PortKind::http, Protocol::tls, no_alpn, terminate},
    {MutualTls::strict, PortKind::tcp, Protocol::tls, browser, terminate},
    {MutualTls::strict, PortKind::detect, Protocol::tls, no_alpn, terminate},
    {MutualTls::strict, PortKind::http, Protocol::http1, {}, refuse},
    {MutualTls::strict, PortKind::tcp, Protocol::opaque, {}, refuse},
    {MutualTls::strict, PortKind::detect, Protocol::http2, {}, refuse},
    // PERMISSIVE: the mesh by its ALPN, plaintext beside it.
    {MutualTls::permissive, PortKind::http, Protocol::tls, mesh_http, terminate},
    {MutualTls::permissive, PortKind::http, Protocol::tls, mesh_tcp, terminate},
    {MutualTls::permissive, PortKind::http, Protocol::http1, {}, http},
    {MutualTls::permissive, PortKind::http, Protocol::opaque, {}, http},
    {MutualTls::permissive, PortKind::http, Protocol::http2, {}, tcp},
    {MutualTls::permissive, PortKind::http, Protocol::tls, browser, refuse},
    {MutualTls::permissive, PortKind::http, Protocol::tls, no_alpn, refuse},
    {MutualTls::permissive, PortKind::tcp, Protocol::tls, mesh_tcp, terminate},
    {MutualTls::permissive, PortKind::tcp, Protocol::tls, browser, tcp},
    {MutualTls::permissive, PortKind::tls, Protocol::tls, no_alpn, tcp},
    {MutualTls::permissive, PortKind::tcp, Protocol::http1, {}, tcp},
    {MutualTls::permissive, PortKind::detect, Protocol::tls, mesh_http2, terminate},
    {MutualTls::permissive, PortKind::detect, Protocol::tls, browser, tcp},
    {MutualTls::permissive, PortKind::detect, Protocol::http1, {}, http},
    {MutualTls::permissive, PortKind::detect, Protocol::http2, {}, tcp},
    {MutualTls::permissive, PortKind::detect, Protocol::opaque, {}, tcp},
    // DISABLE: nothing is terminated.
    {MutualTls::disable, PortKind::http, Protocol::http1, {}, http},
    {MutualTls::disable, PortKind::http, Protocol::tls, mesh_http, http},  // 400, as HTTP it is not
    {MutualTls::disable, PortKind::tcp, Protocol::tls, mesh_tcp, tcp},
    {MutualTls::disable, PortKind::detect, Protocol::tls, mesh_http, tcp},
    {MutualTls::disable, PortKind::detect, Protocol::http1, {}, http},
};

TEST(Inbound, ModePortAndFirstBytesDecide) {
  for (const auto& [mode, kind, protocol, alpn, expect] : cases) {
    const auto plan = decide_inbound(port(mode, kind), preface(protocol, alpn));
    EXPECT_EQ(plan.action, expect) << "mode " << int(mode) << ", kind " << int(kind)
                                   << ", protocol " << int(protocol) << ", " << plan.why;
    EXPECT_FALSE(plan.why.empty());
  }
}

TEST(Inbound, NothingIsWaitedForWhereTheBytesDecideNothing) {
  EXPECT_FALSE(must_sniff(port(MutualTls::disable, PortKind::tcp)));
  EXPECT_FALSE(must_sniff(port(MutualTls::disable, PortKind::tls)));
  EXPECT_TRUE(must_sniff(port(MutualTls::disable, PortKind::detect)));
  EXPECT_TRUE(must_sniff(port(MutualTls::permissive, PortKind::tcp)));
  EXPECT_TRUE(must_sniff(port(MutualTls::strict, PortKind::tcp)));
}

struct InsideCase {
  PortKind kind;
  Alpn offered;
  Protocol inner;
  InboundAction expect;
};
const InsideCase inside_cases[] = {
    {PortKind::http, mesh_http, Protocol::http1, http},
    {PortKind::http, no_alpn, Protocol::http1, http},
    {PortKind::http, mesh_http2, Protocol::http2, tcp},  // as bytes until it is read here
    {PortKind::tcp, mesh_http, Protocol::http1, tcp},
    {PortKind::tls, mesh_tcp, Protocol::tls, tcp},
    {PortKind::detect, mesh_http, Protocol::http1, http},
    {PortKind::detect, {"istio-http/1.0", "istio", "http/1.0"}, Protocol::http1, http},
    {PortKind::detect, mesh_http2, Protocol::http2, tcp},
    {PortKind::detect, mesh_tcp, Protocol::http1, tcp},
    {PortKind::detect, no_alpn, Protocol::http1, tcp},
};

TEST(Inbound, PortAndAlpnSayWhatMutualTlsCarries) {
  for (const auto& [kind, offered, inner, expect] : inside_cases) {
    const auto of = port(MutualTls::strict, kind);
    EXPECT_EQ(inside(of, offered, preface(inner)), expect) << int(kind) << " " << int(inner);
    if (!must_sniff_inside(of, offered)) {
      EXPECT_EQ(inside(of, offered, {}), expect) << "decided without a byte";
    }
  }
}

TEST(Inbound, ABrokenPeerAuthenticationLetsNobodyIn) {
  auto closed = port(MutualTls::permissive, PortKind::detect);
  closed.mutual_tls.refused.emplace();
  for (const auto protocol : {Protocol::tls, Protocol::http1, Protocol::opaque})
    EXPECT_EQ(decide_inbound(closed, preface(protocol, mesh_http)).action, refuse);
}

}  // namespace
}  // namespace sallyport::mesh
