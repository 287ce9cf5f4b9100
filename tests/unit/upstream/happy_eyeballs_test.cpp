// A name with addresses of both families of which one does not work: whoever connects notices
// nothing.
#include "agent/upstream/discovery.h"
#include "tests/support/full_listener.h"
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

namespace wire = test::dns;
using Replies = std::vector<std::string>;
using test::FullListener;

// Other tests' servers are on 127.0.0.1: what refuses here refuses surely.
const char* const v4_text = "127.0.0.77";
const IpAddress v4_ip = *IpAddress::parse(v4_text);

Replies both_families(const wire::Question& q) {
  return {wire::reply(q, {wire::address(q.name, q.type == wire::type_a ? v4_text : "::1", 60)})};
}

struct Kind {
  const char* name;
  mesh::Discovery discovery;
  bool http;
};
class HappyEyeballs : public UpstreamsTest, public testing::WithParamInterface<Kind> {
protected:
  // A cluster whose name has v4_ip and ::1.
  std::shared_ptr<mesh::Cluster> dual(uint16_t port) {
    use_dns(dns.address(), true);
    return named("dual.test", port, GetParam().discovery);
  }
  Need need() const { return {.http = GetParam().http}; }

  test::DnsServer dns{both_families};
};

TEST_P(HappyEyeballs, AFamilyThatRefusesIsNotNoticed) {
  TlsServer v4({}, SocketAddress(v4_ip, 0)), v6({}, *SocketAddress::parse("[::1]:0"));
  for (const TlsServer* server : {&v4, &v6}) {
    const auto to = dual(server->address().port());
    for (int i = 0; i < 8; ++i) {
      auto connection = acquired(to, need());
      EXPECT_EQ(connection.host, server->address());
      EXPECT_EQ(echoed(connection), "hello");
    }
  }
}

TEST_P(HappyEyeballs, AFamilyThatNeverAnswersIsWaitedForOnce) {
  const TlsServer v6({}, *SocketAddress::parse("[::1]:0"));
  const FullListener v4(SocketAddress(v4_ip, v6.address().port()));
  const auto to = dual(v6.address().port());
  std::vector<Connection> open;
  while (open.size() < 8) open.push_back(acquired(to, need()));
  for (const Connection& connection : open) EXPECT_EQ(connection.host, v6.address());
  const auto clusters = upstreams->describe();
  const bool strict = GetParam().discovery == mesh::Discovery::strict_dns;
  ASSERT_EQ(clusters.at(0).endpoints.size(), strict ? 2u : 1u);
  EXPECT_EQ(clusters[0].endpoints[0].address, v6.address());
  EXPECT_EQ(clusters[0].endpoints[0].active, open.size());
}

TEST_P(HappyEyeballs, TlsGoesToTheOneThatAnswers) {
  const test::Authority ca = test::Authority::root("CA");
  auto next = std::make_shared<certs::Vault>();
  next->entries["ca"].roots = *certs::TrustStore::parse(ca.pem());
  vault.publish(std::move(next));
  TlsServer server({.certificate = ca.issue({.dns = {"a.test"}})},
                   *SocketAddress::parse("[::1]:0"));
  const auto to = dual(server.address().port());
  to->tls = secure({})->tls;
  auto connection = acquired(to, need());
  ASSERT_TRUE(connection.stream.is_tls());
  EXPECT_EQ(echoed(connection), "hello");
}

TEST_P(HappyEyeballs, WithoutAnyAnswerTheErrorNamesEveryAddress) {
  const auto port = FullListener(SocketAddress(v4_ip, 0)).address().port();
  std::vector<SocketAddress> avoid;
  Need none = need();
  none.avoid = &avoid;
  const auto got = acquire(dual(port), none);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::refused);
  for (const std::string address : {"127.0.0.77:", "[::1]:"}) {
    EXPECT_NE(got.error().error.context.find(address + std::to_string(port)), std::string::npos)
        << got.error().error.context;
  }
  EXPECT_EQ(avoid.size(), 2u) << "another name's addresses are next";
}

INSTANTIATE_TEST_SUITE_P(Kinds, HappyEyeballs,
                         testing::Values(Kind{"StrictDnsHttp", mesh::Discovery::strict_dns, true},
                                         Kind{"StrictDnsTcp", mesh::Discovery::strict_dns, false},
                                         Kind{"LogicalDnsHttp", mesh::Discovery::logical_dns, true},
                                         Kind{"LogicalDnsTcp", mesh::Discovery::logical_dns,
                                              false}),
                         [](const auto& kind) { return kind.param.name; });

class SlowFamily : public UpstreamsTest {
protected:
  std::shared_ptr<mesh::Cluster> dual(uint16_t port, mesh::OutlierPolicy policy) {
    use_dns(dns.address(), true);
    auto out = named("dual.test", port, mesh::Discovery::strict_dns);
    out->balancing = mesh::Balancing::round_robin;
    out->load.emplace().outlier = policy;
    return out;
  }
  test::DnsServer dns{both_families};
};

TEST_F(SlowFamily, BeingLateIsNoFailureForOutlierDetection) {
  const TlsServer v6({}, *SocketAddress::parse("[::1]:0"));
  const FullListener v4(SocketAddress(v4_ip, v6.address().port()));
  const auto to = dual(v6.address().port(), {.consecutive_5xx = 1});
  std::vector<Connection> open;
  while (open.size() < 4) open.push_back(acquired(to));
  EXPECT_EQ(metrics.outlier_ejections.get(), 0u);
}

TEST_F(SlowFamily, RefusingIsOne) {
  const TlsServer v6({}, *SocketAddress::parse("[::1]:0"));
  const auto to = dual(v6.address().port(), {.consecutive_5xx = 1});
  for (int i = 0; i < 4; ++i) acquired(to);
  EXPECT_EQ(metrics.outlier_ejections.get(), 1u);
}

TEST_F(SlowFamily, ServesWhereTheOtherIsEjected) {
  const TlsServer v6({}, *SocketAddress::parse("[::1]:0"));
  const auto to = dual(v6.address().port(), {.consecutive_5xx = 2});
  for (int i = 0; i < 4; ++i) {
    auto connection = acquired(to);  // v4 refuses once, and is last choice from then on
    ASSERT_EQ(connection.host, v6.address());
    if (i >= 2) upstreams->report(connection, 503);
  }
  EXPECT_EQ(metrics.outlier_ejections.get(), 1u);
  const TlsServer v4({}, SocketAddress(v4_ip, v6.address().port()));
  EXPECT_EQ(acquired(to).host, v4.address());
}

TEST_F(SlowFamily, KeepsItsConnections) {
  use_dns(dns.address(), true);
  const auto shared = std::make_shared<Shared>(Upstreams::Parts{loop, *resolver, vault, metrics});
  const mesh::ClusterPtr to = named("dual.test", 80, mesh::Discovery::strict_dns);
  const auto discovery = std::make_shared<Discovery>(shared, to);
  test::await(loop, discovery->prepare());
  const SocketAddress v4(v4_ip, 80), v6(*IpAddress::parse("::1"), 80);
  ASSERT_EQ(discovery->endpoints().size(), 2u);
  const auto endpoint = discovery->at(v4);
  const auto pool = endpoint->pool(*to, nullptr);
  discovery->overtaken(v4, v6);
  ASSERT_EQ(discovery->endpoints().size(), 1u);
  EXPECT_EQ(discovery->endpoints()[0]->address, v6);
  EXPECT_EQ(discovery->last_choice(), Endpoints{endpoint});
  EXPECT_FALSE(discovery->offers(*endpoint));
  EXPECT_EQ(discovery->at(v4), endpoint);
  EXPECT_FALSE(pool->retired());
  EXPECT_EQ(discovery->addresses_for(v6), (std::vector<SocketAddress>{v6, v4}));
}

// Of a name with two addresses of which one refuses: when the other takes its place.
class SameFamily : public UpstreamsTest {
protected:
  std::shared_ptr<mesh::Cluster> two() {
    use_dns(dns.address());
    auto out = named("two.test", server.address().port(), mesh::Discovery::strict_dns);
    out->balancing = mesh::Balancing::round_robin;
    return out;
  }
  TlsServer server{{}, *SocketAddress::parse("127.0.0.2:0")};
  test::DnsServer dns{[](const wire::Question& q) -> Replies {
    return {wire::reply(
        q, {wire::address(q.name, "127.0.0.1", 60), wire::address(q.name, "127.0.0.2", 60)})};
  }};
};

TEST_F(SameFamily, AnEjectedEndpointTakesNobodysPlace) {
  const auto to = two();
  to->load.emplace().outlier = mesh::OutlierPolicy{
      .consecutive_5xx = 1, .consecutive_local_origin = 0, .split_local_origin = true};
  auto connection = acquired(to);
  ASSERT_EQ(connection.host, server.address());
  upstreams->report(connection, 503);
  EXPECT_FALSE(acquire(to));
}

TEST_F(SameFamily, AnEndpointThatWasTriedTakesNobodysPlace) {
  const auto to = two();
  std::vector<SocketAddress> tried{server.address()};
  EXPECT_FALSE(acquire(to, {.avoid = &tried}));
}

TEST_F(SameFamily, ByHashAKeyStaysWithItsEndpoint) {
  const auto to = two();
  to->load.emplace().hash = mesh::HashPolicy();
  int refused = 0;
  for (uint64_t key = 0; key < 32; ++key) {
    const auto got = acquire(to, {.fresh = true, .hash = key << 59});
    if (!got) ++refused;
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 32);
}

TEST_F(SameFamily, AnIdleConnectionToAnotherAddressServesWhenTheChosenOneRefuses) {
  const auto to = two();
  SocketAddress local;
  for (int i = 0; i < 10; ++i) {
    auto connection = upstreams->take_idle(*to, {});
    if (!connection) connection = acquired(to);
    EXPECT_EQ(connection.host, server.address());
    if (i == 0) local = connection.local;
    EXPECT_EQ(connection.local, local) << "one connection serves all";
    upstreams->give_back(std::move(connection));
  }
}

TEST_F(SameFamily, EndpointsOfAServiceAreNotOneName) {
  auto gone = TlsServer({}).address();
  const auto to = cluster({gone, server.address()});
  to->balancing = mesh::Balancing::round_robin;
  int failed = 0;
  for (int i = 0; i < 4; ++i) failed += acquire(to, {.http = false}) ? 0 : 1;
  EXPECT_EQ(failed, 2) << "as Envoy's TCP proxy with one try";
}

}  // namespace
}  // namespace sallyport::upstream
