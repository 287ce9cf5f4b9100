// Istio's mutual TLS towards endpoints (istio-api.md 2.10, 2.12): TLS or plaintext by each
// endpoint, ALPN by what is carried, the workload's own certificate and its rotation. Never
// plaintext because something is missing.
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

const std::string server_id = "spiffe://cluster.local/ns/default/sa/server";

class MeshTls : public UpstreamsTest {
protected:
  void publish(const test::Authority& roots, const std::string& client) {
    auto next = std::make_shared<certs::Vault>();
    next->entries["ROOTCA"].roots = *certs::TrustStore::parse(roots.pem());
    const auto own =
        ca.issue({.common_name = client, .uris = {"spiffe://cluster.local/ns/a/sa/b"}});
    next->entries["default"].pair = *certs::KeyPair::parse(own.chain_pem, own.key_pem);
    vault.publish(std::move(next));
  }
  std::shared_ptr<mesh::Cluster> in_mesh(std::vector<SocketAddress> to, bool automatic = true) {
    auto out = cluster(std::move(to));
    out->tls.mode = mesh::Originate::istio_mutual;
    out->tls.automatic = automatic;
    out->tls.sni = "outbound_.80_._.a.test";
    out->tls.names = {server_id};
    out->tls.certificate = "default";
    out->tls.roots = "ROOTCA";
    for (auto& endpoint : out->endpoints) endpoint.mesh_tls = true;
    return out;
  }
  TlsServer::Options mesh_server(const std::string& id = server_id) {
    return {.certificate = ca.issue({.common_name = "server", .uris = {id}}),
            .client_ca_pem = ca.pem()};
  }

  test::Authority ca = test::Authority::root("mesh");
};

TEST_F(MeshTls, SendsItsOwnCertificateTheSniAndTheAlpnOfWhatItCarries) {
  TlsServer server(mesh_server());
  publish(ca, "client");
  const auto to = in_mesh({server.address()});
  auto request = acquired(to);
  EXPECT_EQ(echoed(request), "hello");
  Need bytes;
  bytes.http = false;
  auto opaque = acquired(to, bytes);
  EXPECT_EQ(echoed(opaque), "hello");
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].client, "client");
  EXPECT_EQ(seen[0].sni, "outbound_.80_._.a.test");
  EXPECT_EQ(seen[0].alpn, "istio-http/1.1,istio,http/1.1");
  EXPECT_EQ(seen[1].alpn, "istio");
  EXPECT_FALSE(seen[1].resumed) << "bytes and requests share no session";
}

TEST_F(MeshTls, OneClusterSpeaksTlsToSomeEndpointsAndPlaintextToOthers) {
  TlsServer secured(mesh_server()), plain({});
  publish(ca, "client");
  const auto to = in_mesh({secured.address(), plain.address()});
  to->endpoints[1].mesh_tls = false;
  to->balancing = mesh::Balancing::round_robin;
  int with_tls = 0;
  for (int i = 0; i < 4; ++i) {
    auto connection = acquired(to);
    EXPECT_EQ(connection.stream.is_tls(), connection.host == secured.address());
    EXPECT_EQ(echoed(connection), "hello");
    with_tls += connection.stream.is_tls();
  }
  EXPECT_EQ(with_tls, 2);
}

TEST_F(MeshTls, PooledConnectionsAreTakenFromTheirOwnKind) {
  TlsServer secured(mesh_server()), plain({});
  publish(ca, "client");
  const auto to = in_mesh({secured.address(), plain.address()});
  to->endpoints[1].mesh_tls = false;
  to->balancing = mesh::Balancing::round_robin;
  for (int i = 0; i < 2; ++i) upstreams->give_back(acquired(to));
  for (int i = 0; i < 2; ++i) {
    auto again = upstreams->take_idle(*to, {});
    ASSERT_TRUE(again);
    EXPECT_EQ(again.stream.is_tls(), again.host == secured.address());
  }
}

TEST_F(MeshTls, ARuleForAllAsksNoEndpoint) {
  TlsServer server(mesh_server());
  publish(ca, "client");
  const auto to = in_mesh({server.address()}, false);
  to->endpoints[0].mesh_tls = false;
  EXPECT_TRUE(acquired(to).stream.is_tls());
}

TEST_F(MeshTls, WithoutACertificateNobodyIsDialledAndTheReasonIsNamed) {
  TlsServer server({});
  const auto to = in_mesh({server.address()});
  const auto got = acquire(to);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::missing_secret);
  EXPECT_EQ(got.error().error.context,
            "auto mTLS needs the client certificate default: it is not there");
  EXPECT_EQ(server.accepted(), 0);
}

TEST_F(MeshTls, WithoutACertificatePlaintextEndpointsAreReachedAllTheSame) {
  TlsServer plain({});
  const auto to = in_mesh({plain.address()});
  to->endpoints[0].mesh_tls = false;
  auto connection = acquired(to);
  EXPECT_EQ(echoed(connection), "hello");
}

TEST_F(MeshTls, APeerWithAnotherIdentityIsNotSpokenTo) {
  TlsServer server(mesh_server("spiffe://cluster.local/ns/default/sa/thief"));
  publish(ca, "client");
  const auto got = acquire(in_mesh({server.address()}));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::tls_verify);
  EXPECT_NE(got.error().error.context.find(server_id), std::string::npos)
      << got.error().error.context;
}

TEST_F(MeshTls, APeerOfAnotherMeshIsNotSpokenTo) {
  TlsServer server(mesh_server());
  publish(test::Authority::root("another mesh"), "client");
  const auto got = acquire(in_mesh({server.address()}));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::tls_verify);
}

TEST_F(MeshTls, ARotatedCertificateIsUsedByNewConnectionsWhileOldOnesGoOn) {
  TlsServer server(mesh_server());
  publish(ca, "first");
  const auto to = in_mesh({server.address()});
  auto old = acquired(to);
  publish(ca, "second");
  auto fresh = acquired(to);
  EXPECT_EQ(echoed(fresh), "hello");
  EXPECT_EQ(echoed(old), "hello") << "a request under way goes on";
  EXPECT_EQ(server.seen().at(0).client, "first");
  EXPECT_EQ(server.seen().at(1).client, "second");
  EXPECT_FALSE(server.seen().at(1).resumed);
  upstreams->give_back(std::move(old));
  EXPECT_EQ(idle(), 0u) << "what the old certificate opened is not kept";
}

}  // namespace
}  // namespace sallyport::upstream
