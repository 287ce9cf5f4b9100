// A name with addresses of both families of which one does not work: whoever connects notices
// nothing.
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
  ASSERT_EQ(clusters.at(0).endpoints.size(), 1u) << "the silent one is last choice now";
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

class SameFamily : public UpstreamsTest {};

TEST_F(SameFamily, AnIdleConnectionToAnotherAddressServesWhenTheChosenOneRefuses) {
  TlsServer server({}, *SocketAddress::parse("127.0.0.2:0"));
  test::DnsServer dns([](const wire::Question& q) -> Replies {
    return {wire::reply(
        q, {wire::address(q.name, "127.0.0.1", 60), wire::address(q.name, "127.0.0.2", 60)})};
  });
  use_dns(dns.address());
  const auto to = named("two.test", server.address().port(), mesh::Discovery::strict_dns);
  to->balancing = mesh::Balancing::round_robin;
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
  TlsServer server({});
  auto gone = TlsServer({}).address();
  const auto to = cluster({gone, server.address()});
  to->balancing = mesh::Balancing::round_robin;
  int failed = 0;
  for (int i = 0; i < 4; ++i) failed += acquire(to, {.http = false}) ? 0 : 1;
  EXPECT_EQ(failed, 2) << "as Envoy's TCP proxy with one try";
}

}  // namespace
}  // namespace sallyport::upstream
