// TLS of upstream connections: identity, verification, secrets that are missing or change. Never
// plaintext.
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

class Origination : public UpstreamsTest {
protected:
  void publish(const test::Authority& roots, const std::optional<test::Issued>& client = {}) {
    auto next = std::make_shared<certs::Vault>();
    next->entries["ca"].roots = *certs::TrustStore::parse(roots.pem());
    if (client) {
      next->entries["client"].pair = *certs::KeyPair::parse(client->chain_pem, client->key_pem);
    }
    vault.publish(std::move(next));
  }
  std::shared_ptr<mesh::Cluster> mutual(SocketAddress to) {
    auto out = secure({to});
    out->tls.mode = mesh::Originate::mutual;
    out->tls.certificate = "client";
    return out;
  }

  test::Authority ca = test::Authority::root("CA");
  test::Issued good = ca.issue({.common_name = "server", .dns = {"a.test", "b.test"}});
};

TEST_F(Origination, SimpleSendsTheSniAndVerifiesTheServer) {
  TlsServer server({.certificate = good});
  publish(ca);
  auto connection = acquired(secure({server.address()}));
  ASSERT_TRUE(connection.stream.is_tls());
  EXPECT_EQ(echoed(connection), "hello");
  ASSERT_EQ(server.seen().size(), 1u);
  EXPECT_EQ(server.seen()[0].sni, "a.test");
  EXPECT_EQ(metrics.tls_handshakes.get(), 1u);
}

TEST_F(Origination, MutualPresentsTheCertificate) {
  TlsServer server({.certificate = good, .client_ca_pem = ca.pem()});
  publish(ca, ca.issue({.common_name = "client-1"}));
  auto connection = acquired(mutual(server.address()));
  EXPECT_EQ(echoed(connection), "hello");
  EXPECT_EQ(server.seen().at(0).client, "client-1");
}

TEST_F(Origination, AServerThatIsNotTheOneNamedIsNotSpokenTo) {
  TlsServer server({.certificate = ca.issue({.dns = {"evil.test"}})});
  publish(ca);
  const auto got = acquire(secure({server.address()}));
  ASSERT_FALSE(got);
  const Error& error = got.error().error;
  EXPECT_EQ(error.fault, Fault::tls_verify);
  EXPECT_EQ(error.side, Side::upstream);
  EXPECT_TRUE(error.retryable);  // Istio's default policy retries failed handshakes
  EXPECT_EQ(got.error().host, server.address());
  EXPECT_NE(error.context.find(server.address().text()), std::string::npos) << error.context;
  EXPECT_NE(error.context.find("a.test"), std::string::npos) << error.context;
  EXPECT_EQ(error.resource, "DestinationRule default/originate (rules.yaml:12)");
  EXPECT_EQ(metrics.tls_verify_failures.get(), 1u);
}

TEST_F(Origination, AServerOfAnotherAuthorityIsNotSpokenTo) {
  TlsServer server({.certificate = good});
  publish(test::Authority::root("Another CA"));
  const auto got = acquire(secure({server.address()}));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::tls_verify);
}

TEST_F(Origination, AMissingSecretIsAnErrorAndNobodyIsDialled) {
  TlsServer server({});
  const auto got = acquire(secure({server.address()}));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::missing_secret);
  EXPECT_NE(got.error().error.context.find("originate"), std::string::npos);
  EXPECT_NE(upstreams->describe().at(0).problem.find("originate"), std::string::npos);
  EXPECT_EQ(server.accepted(), 0);
}

TEST_F(Origination, ASecretThatAppearsIsUsedAtOnce) {
  TlsServer server({.certificate = good});
  const auto to = secure({server.address()});
  EXPECT_FALSE(acquire(to));
  publish(ca);
  EXPECT_TRUE(acquire(to));
  EXPECT_EQ(upstreams->describe().at(0).problem, "");
}

TEST_F(Origination, ASilentServerTimesOutWithinTheConnectTimeout) {
  TlsServer server({.silent = true});
  publish(ca);
  const auto to = secure({server.address()});
  to->connect_timeout = 100ms;
  const auto got = acquire(to);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::timed_out);
  EXPECT_TRUE(got.error().error.retryable);
}

TEST_F(Origination, AnIdleConnectionWithTicketsUnreadIsStillGood) {
  TlsServer server({.certificate = good});
  publish(ca);
  const auto to = secure({server.address()});
  upstreams->give_back(acquired(to));  // TLS 1.3 tickets come after the handshake
  wait_until([&server] { return server.seen().size() == 1; });
  test::await(loop, net::sleep_for(loop, 2 * net::Loop::tick));  // sweeps see the tickets
  auto again = upstreams->take_idle(*to, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(echoed(again), "hello");
}

TEST_F(Origination, SessionsAreResumed) {
  TlsServer server({.certificate = good});
  publish(ca);
  const auto to = secure({server.address()});
  Need fresh;
  fresh.fresh = true;
  auto first = acquired(to, fresh);
  EXPECT_EQ(echoed(first), "hello");
  auto second = acquired(to, fresh);
  EXPECT_EQ(echoed(second), "hello");
  EXPECT_TRUE(server.seen().at(1).resumed);
  EXPECT_EQ(metrics.tls_resumed.get(), 1u);
}

TEST_F(Origination, HostsDoNotShareConnectionsWhereSniComesFromThem) {
  TlsServer server({.certificate = good});
  publish(ca);
  const auto to = secure({server.address()});
  to->tls.sni.clear();
  to->tls.names.clear();
  to->tls.auto_sni = to->tls.auto_san = true;
  Need a, b;
  a.authority = "a.test";
  b.authority = "b.test";
  upstreams->give_back(acquired(to, a));
  EXPECT_FALSE(upstreams->take_idle(*to, b));
  auto other = acquired(to, b);
  EXPECT_FALSE(other.reused);
  EXPECT_EQ(echoed(other), "hello");
  EXPECT_EQ(server.seen().at(1).sni, "b.test");
  EXPECT_FALSE(server.seen().at(1).resumed);
  EXPECT_TRUE(upstreams->take_idle(*to, a));
}

// What a new vault does to a pooled connection and its session.
TEST_F(Origination, ANewVaultWithTheSameSecretsChangesNothing) {
  TlsServer server({.certificate = good});
  publish(ca);
  const auto to = secure({server.address()});
  upstreams->give_back(acquired(to));
  vault.publish(std::make_shared<certs::Vault>(*vault.current()));
  EXPECT_TRUE(upstreams->take_idle(*to, {}));
}

TEST_F(Origination, ANewCaEndsConnectionsAndSessionsOfTheOldOne) {
  TlsServer server({.certificate = good});
  publish(ca);
  const auto to = secure({server.address()});
  auto busy = acquired(to);
  EXPECT_EQ(echoed(busy), "hello");
  upstreams->give_back(acquired(to, {.fresh = true}));
  publish(test::Authority::root("Another CA"));
  EXPECT_FALSE(upstreams->take_idle(*to, {}));
  upstreams->give_back(std::move(busy));
  EXPECT_EQ(idle(), 0u);
  const auto got = acquire(to);  // a resumed session would skip verification
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::tls_verify);
}

TEST_F(Origination, ANewCertificateIsPresentedOnNewConnectionsOnly) {
  TlsServer server({.certificate = good, .client_ca_pem = ca.pem()});
  publish(ca, ca.issue({.common_name = "client-1"}));
  const auto to = mutual(server.address());
  auto busy = acquired(to);
  EXPECT_EQ(echoed(busy), "hello");
  publish(ca, ca.issue({.common_name = "client-2"}));
  EXPECT_EQ(echoed(busy), "hello");
  auto next = acquired(to);
  EXPECT_EQ(echoed(next), "hello");
  EXPECT_EQ(server.seen().at(1).client, "client-2");
  EXPECT_FALSE(server.seen().at(1).resumed);
}

TEST_F(Origination, ASecretThatGoesAwayClosesTheDoor) {
  TlsServer server({.certificate = good});
  publish(ca);
  const auto to = secure({server.address()});
  upstreams->give_back(acquired(to));
  vault.publish(std::make_shared<certs::Vault>());
  wait_until([this] { return idle() == 0; });
  const auto got = acquire(to);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::missing_secret);
}

}  // namespace
}  // namespace sallyport::upstream
