// DYNAMIC_DNS: the host that the client names is resolved, at the port that it dialled.
#include <sys/socket.h>

#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

namespace wire = test::dns;
using Replies = std::vector<std::string>;

class DynamicDns : public UpstreamsTest {
protected:
  DynamicDns() { use_dns(dns.address()); }
  std::shared_ptr<mesh::Cluster> wildcard() {
    auto out = cluster({});
    out->name = "outbound|80||*.a.test";
    out->host = "*.a.test";
    out->port = 80;
    out->discovery = mesh::Discovery::dynamic_dns;
    return out;
  }
  static Need to(std::string_view host, uint16_t port) {
    return {.authority = host, .original_destination = {*IpAddress::parse("192.0.2.1"), port}};
  }

  test::DnsServer dns{[](const wire::Question& q) -> Replies {
    if (q.name.starts_with("gone")) return {wire::reply(q, {}, wire::no_such_name)};
    const auto* ip = q.name.starts_with("two") ? "127.0.0.2" : "127.0.0.1";
    return {wire::reply(q, {wire::address(q.name, ip, 60)})};
  }};
};

TEST_F(DynamicDns, DialsTheHostThatWasNamedAtTheDialledPort) {
  TlsServer server({}, *SocketAddress::parse("0.0.0.0:0"));
  const uint16_t port = server.address().port();
  const auto any = wildcard();
  EXPECT_EQ(acquired(any, to("one.a.test", port)).host.text(), "127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(acquired(any, to("two.a.test", port)).host.text(), "127.0.0.2:" + std::to_string(port));
}

TEST_F(DynamicDns, TargetPortTakesTheDialledOnesPlace) {
  TlsServer server({});
  const auto any = wildcard();
  any->original_dst_port = server.address().port();
  EXPECT_EQ(acquired(any, to("one.a.test", 80)).host, server.address());
}

TEST_F(DynamicDns, WhatIsNotAboutChoosingCountsForItsHostsToo) {
  TlsServer server({});
  const auto any = wildcard();
  auto& load = any->load.emplace();
  load.hash = mesh::HashPolicy();
  load.outlier.emplace();
  load.keepalive = mesh::KeepalivePolicy{3, 60s, 10s};
  load.max_connection_duration = 1ms;
  auto connection = acquired(any, to("one.a.test", server.address().port()));
  int on = 0;
  socklen_t size = sizeof on;
  getsockopt(connection.stream.fd(), SOL_SOCKET, SO_KEEPALIVE, &on, &size);
  EXPECT_EQ(on, 1);
  const auto opened = loop.now();
  wait_until([&] { return loop.now() - opened > 1ms; });
  upstreams->give_back(std::move(connection));
  EXPECT_EQ(idle(), 0u);
}

TEST_F(DynamicDns, AConnectionIsPooledForItsHostOnly) {
  TlsServer server({}, *SocketAddress::parse("0.0.0.0:0"));
  const uint16_t port = server.address().port();
  const auto any = wildcard();
  upstreams->give_back(acquired(any, to("one.a.test", port)));
  EXPECT_FALSE(upstreams->take_idle(*any, to("two.a.test", port)));
  EXPECT_FALSE(upstreams->take_idle(*any, to("one.a.test", 1)));
  EXPECT_TRUE(upstreams->take_idle(*any, to("one.a.test", port)).reused);
  EXPECT_EQ(dns.asked(), 1);
}

TEST_F(DynamicDns, ANameWithoutAddressIsUnresolvedWithTheReason) {
  const auto got = acquire(wildcard(), to("gone.a.test", 80));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::unresolved);
  EXPECT_FALSE(got.error().error.retryable);
  EXPECT_NE(got.error().error.context.find("gone.a.test"), std::string::npos);
  EXPECT_NE(got.error().error.context.find("NXDOMAIN"), std::string::npos);
}

TEST_F(DynamicDns, WithoutAHostNothingIsAskedNorDialled) {
  const auto got = acquire(wildcard(), to("", 80));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::unresolved);
  EXPECT_NE(got.error().error.context.find("no SNI"), std::string::npos);
  EXPECT_EQ(dns.asked(), 0);
}

TEST_F(DynamicDns, TheServerMustProveToBeTheHostThatWasNamed) {
  const test::Authority ca = test::Authority::root("CA");
  auto next = std::make_shared<certs::Vault>();
  next->entries["ca"].roots = *certs::TrustStore::parse(ca.pem());
  vault.publish(std::move(next));
  TlsServer server({.certificate = ca.issue({.dns = {"one.a.test"}})},
                   *SocketAddress::parse("0.0.0.0:0"));
  const auto any = wildcard();
  any->tls.mode = mesh::Originate::simple;
  any->tls.roots = "ca";
  any->tls.auto_sni = any->tls.auto_san = true;
  const uint16_t port = server.address().port();
  auto connection = acquired(any, to("one.a.test", port));
  EXPECT_EQ(echoed(connection), "hello");
  EXPECT_EQ(server.seen().at(0).sni, "one.a.test");
  const auto got = acquire(any, to("two.a.test", port));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::tls_verify);
}

TEST_F(DynamicDns, HostsAreBoundedTheOneUnusedForLongestGoes) {
  const auto port = TlsServer({}).address().port();  // nobody listens there any more
  const auto any = wildcard();
  for (std::size_t i = 0; i < limits::dynamic_hosts + 5; ++i) {
    const auto host = std::to_string(i) + ".a.test";
    EXPECT_EQ(acquire(any, to(host, port)).error().error.fault, Fault::refused);
  }
  EXPECT_EQ(upstreams->describe().at(0).endpoints.size(), limits::dynamic_hosts);
}

TEST_F(DynamicDns, DestroyingEverythingWhileAHostIsAskedForIsSafe) {
  test::DnsServer mute([](const wire::Question&) -> Replies { return {}; });
  use_dns(mute.address());
  auto waiting = upstreams->acquire(wildcard(), to("one.a.test", 80));
  waiting.start({});
  upstreams.reset();
  resolver.reset();
  test::await(loop, until(loop, [&waiting] { return waiting.done(); }));
  EXPECT_FALSE(waiting.take());
}

// The proxy's own ports, as an endpoint or as what DNS says.
class OwnPort : public UpstreamsTest {
protected:
  void own(std::vector<uint16_t> ports) {
    upstreams.reset();
    upstreams.emplace(Upstreams::Parts{
        loop, *resolver, vault, metrics, {{*IpAddress::parse("192.0.2.9")}, std::move(ports)}});
  }
};

TEST_F(OwnPort, IsNotDialled) {
  TlsServer self({});
  own({self.address().port()});
  for (const SocketAddress& to :
       {self.address(), SocketAddress(*IpAddress::parse("192.0.2.9"), self.address().port())}) {
    const auto got = acquire(cluster({to}));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().error.fault, Fault::denied);
    EXPECT_NE(got.error().error.context.find(to.text() + " is a port of this proxy itself"),
              std::string::npos)
        << got.error().error.context;
  }
  EXPECT_EQ(self.accepted(), 0);
}

TEST_F(OwnPort, IsNotDialledWhenDnsSaysSo) {
  TlsServer self({});
  test::DnsServer dns([](const wire::Question& q) -> Replies {
    return {wire::reply(q, {wire::address(q.name, "127.0.0.1", 60)})};
  });
  use_dns(dns.address());
  own({self.address().port()});
  const auto got = acquire(named("self.test", self.address().port(), mesh::Discovery::strict_dns));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::denied);
  EXPECT_EQ(self.accepted(), 0);
}

TEST_F(OwnPort, OfAnotherMachineIsAnAddressAsAnyOther) {
  TlsServer server({});
  own({static_cast<uint16_t>(server.address().port() + 1)});
  EXPECT_TRUE(acquire(cluster({server.address()})));
}

}  // namespace
}  // namespace sallyport::upstream
