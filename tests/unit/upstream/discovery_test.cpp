// Endpoints that DNS names.
#include <atomic>

#include "agent/upstream/discovery.h"
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

namespace wire = test::dns;
using Replies = std::vector<std::string>;
using Discovered = UpstreamsTest;

std::vector<std::string> addresses(const Upstreams& upstreams) {
  std::vector<std::string> out;
  for (const auto& info : upstreams.describe()) {
    for (const auto& endpoint : info.endpoints) out.push_back(endpoint.address.ip().text());
  }
  return out;
}
using Texts = std::vector<std::string>;

TEST_F(Discovered, StrictDnsTakesEveryAddressOfEveryHost) {
  TlsServer server({});
  test::DnsServer dns([](const wire::Question& q) -> Replies {
    if (q.name == "two.test") return {wire::reply(q, {wire::address(q.name, "127.0.0.3", 60)})};
    return {wire::reply(
        q, {wire::address(q.name, "127.0.0.1", 60), wire::address(q.name, "127.0.0.2", 60)})};
  });
  use_dns(dns.address());
  const auto to = named("one.test", server.address().port(), mesh::Discovery::strict_dns);
  to->endpoints.push_back({{}, "two.test", server.address().port(), 1});
  acquire(to);
  wait_until([this] { return addresses(*upstreams).size() == 3; });
  EXPECT_EQ(addresses(*upstreams), (Texts{"127.0.0.1", "127.0.0.2", "127.0.0.3"}));
}

TEST_F(Discovered, AHostThatIsNeverAnsweredHoldsUpNobodyWhileAnotherIs) {
  TlsServer server({});
  test::DnsServer dns([](const wire::Question& q) -> Replies {
    if (q.name == "mute.test") return {};
    return {wire::reply(q, {wire::address(q.name, "127.0.0.1", 60)})};
  });
  use_dns(dns.address());
  const auto to = named("mute.test", server.address().port(), mesh::Discovery::strict_dns);
  to->endpoints.push_back({{}, "one.test", server.address().port(), 1});
  EXPECT_EQ(acquired(to).host, server.address());
}

TEST_F(Discovered, ANameThatDoesNotResolveIsNoEndpointWithTheReason) {
  test::DnsServer dns(
      [](const wire::Question& q) -> Replies { return {wire::reply(q, {}, wire::no_such_name)}; });
  use_dns(dns.address());
  const auto got = acquire(named("gone.test", 80, mesh::Discovery::strict_dns));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::no_endpoint);
  EXPECT_NE(got.error().error.context.find("gone.test"), std::string::npos);
  EXPECT_NE(got.error().error.context.find("NXDOMAIN"), std::string::npos);
  EXPECT_NE(upstreams->describe().at(0).problem.find("NXDOMAIN"), std::string::npos);
  wait_until([this] { return metrics.dns_failures.get() == 1; });
}

TEST_F(Discovered, AClusterInUseFollowsDnsWithoutARequestWaiting) {
  TlsServer server({});
  std::atomic<bool> moved{false};
  test::DnsServer dns([&moved](const wire::Question& q) -> Replies {
    return {wire::reply(q, {wire::address(q.name, moved ? "127.0.0.2" : "127.0.0.1", 1)})};
  });
  use_dns(dns.address());
  const auto to = named("a.test", server.address().port(), mesh::Discovery::strict_dns);
  upstreams->give_back(acquired(to));
  EXPECT_EQ(idle(), 1u);
  moved = true;
  wait_until([this] { return addresses(*upstreams) == Texts{"127.0.0.2"}; });
  EXPECT_EQ(idle(), 0u);  // the old address's connection went with it
}

TEST_F(Discovered, AnEndpointThatLeftTheAnswerIsDrained) {
  TlsServer server({}, *SocketAddress::parse("0.0.0.0:0"));
  std::atomic<bool> left{false};
  test::DnsServer dns([&left](const wire::Question& q) -> Replies {
    std::vector<wire::Record> records{wire::address(q.name, "127.0.0.2", 1)};
    if (!left) records.push_back(wire::address(q.name, "127.0.0.1", 1));
    return {wire::reply(q, records)};
  });
  use_dns(dns.address());
  const auto to = named("a.test", server.address().port(), mesh::Discovery::strict_dns);
  to->balancing = mesh::Balancing::round_robin;
  auto first = acquired(to), second = acquired(to);
  auto& leaving = first.host.ip().text() == "127.0.0.1" ? first : second;
  auto& staying = &leaving == &first ? second : first;
  left = true;
  wait_until([this] { return addresses(*upstreams) == Texts{"127.0.0.2"}; });
  EXPECT_EQ(echoed(leaving), "hello") << "what is under way goes on";
  upstreams->give_back(std::move(leaving));
  upstreams->give_back(std::move(staying));
  EXPECT_EQ(idle(), 1u) << "and is not kept";
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(acquired(to, {.fresh = true}).host.ip().text(), "127.0.0.2");
  }
}

TEST_F(Discovered, ADenialRemovesTheEndpointsAFailureDoesNot) {
  for (const bool denied : {true, false}) {
    TlsServer server({});
    std::atomic<bool> changed{false};
    test::DnsServer dns([&changed, denied](const wire::Question& q) -> Replies {
      if (!changed) return {wire::reply(q, {wire::address(q.name, "127.0.0.1", 1)})};
      return {wire::reply(q, {}, denied ? wire::no_error : wire::server_failure)};
    });
    use_dns(dns.address());
    const auto to = named("a.test", server.address().port(), mesh::Discovery::strict_dns);
    acquired(to);
    changed = true;
    const auto failures = metrics.dns_failures.get();
    wait_until([&] { return metrics.dns_failures.get() > failures; });
    wait_until([&] { return addresses(*upstreams).empty() == denied; });
    const auto got = acquire(to);
    ASSERT_EQ(bool(got), !denied);
    if (denied) {
      EXPECT_EQ(got.error().error.fault, Fault::no_endpoint);
    }
  }
}

TEST_F(Discovered, LogicalDnsDialsTheNewFirstAddressAndKeepsOldConnections) {
  TlsServer server({}, {*IpAddress::parse("0.0.0.0"), 0});
  std::atomic<bool> moved{false};
  test::DnsServer dns([&moved](const wire::Question& q) -> Replies {
    return {wire::reply(q, {wire::address(q.name, moved ? "127.0.0.2" : "127.0.0.1", 1),
                            wire::address(q.name, "127.0.0.9", 1)})};
  });
  use_dns(dns.address());
  const auto to = named("a.test", server.address().port(), mesh::Discovery::logical_dns);
  auto old = acquired(to);
  EXPECT_EQ(old.host.ip().text(), "127.0.0.1");
  upstreams->give_back(std::move(old));
  moved = true;
  wait_until([this] { return addresses(*upstreams) == Texts{"127.0.0.2"}; });
  EXPECT_EQ(upstreams->take_idle(*to, {}).host.ip().text(), "127.0.0.1");
  EXPECT_EQ(acquired(to, {.fresh = true}).host.ip().text(), "127.0.0.2");
}

TEST_F(Discovered, ASetInAnotherOrderIsTheSameSet) {
  std::atomic<int> answers{0};
  std::atomic<bool> grown{false};
  test::DnsServer dns([&](const wire::Question& q) -> Replies {
    std::vector<wire::Record> records{wire::address(q.name, "127.0.0.1", 1),
                                      wire::address(q.name, "127.0.0.2", 1)};
    if (++answers % 2 == 0) std::swap(records[0], records[1]);
    if (grown) records.insert(records.begin(), wire::address(q.name, "127.0.0.3", 1));
    return {wire::reply(q, records)};
  });
  use_dns(dns.address());
  const auto shared = std::make_shared<Shared>(Upstreams::Parts{loop, *resolver, vault, metrics});
  const auto discovery =
      std::make_shared<Discovery>(shared, named("a.test", 80, mesh::Discovery::strict_dns));
  test::await(loop, discovery->prepare());
  const auto before = discovery->endpoints();
  const auto generation = discovery->generation();
  ASSERT_EQ(before.size(), 2u);
  wait_until([&] { return discovery->refresh_due(), answers == 3; });
  EXPECT_EQ(discovery->generation(), generation);
  EXPECT_EQ(discovery->endpoints(), before);
  grown = true;
  wait_until([&] { return discovery->refresh_due(), discovery->endpoints().size() == 3; });
  EXPECT_EQ(discovery->generation(), generation + 1);
  EXPECT_EQ(Endpoints(discovery->endpoints().begin(), discovery->endpoints().begin() + 2), before);
}

net::Task<void> ask_in_vain(dns::Resolver& resolver, std::string name) {
  co_await resolver.resolve(std::move(name), 60s, dns::NamedBy::client);
}

TEST_F(Discovered, AResolverWithTooMuchToDoTakesNoEndpointAway) {
  test::DnsServer dns([](const wire::Question& q) -> Replies {
    if (q.name.ends_with(".mute")) return {};
    return {wire::reply(q, {wire::address(q.name, "127.0.0.1", 1)})};
  });
  upstreams.reset();
  resolver.emplace(loop, dns::ResolverOptions{{dns.address()}, true, false, 60'000ms, 1});
  const auto shared = std::make_shared<Shared>(Upstreams::Parts{loop, *resolver, vault, metrics});
  const auto discovery = std::make_shared<Discovery>(
      shared, named("a.test", 80, mesh::Discovery::strict_dns), dns::NamedBy::client);
  test::await(loop, discovery->prepare());
  ASSERT_EQ(discovery->endpoints().size(), 1u);
  for (std::size_t i = 0; i < limits::dns_queries + limits::dns_queries_at_once; ++i) {
    loop.spawn(ask_in_vain(*resolver, std::to_string(i) + ".mute"));
  }
  wait_until([&] { return discovery->refresh_due(), discovery->problem() != nullptr; });
  EXPECT_EQ(discovery->problem()->fault, Fault::overflow);
  EXPECT_EQ(discovery->endpoints().size(), 1u);
}

TEST_F(Discovered, DestroyingEverythingWhileANameIsAskedForIsSafe) {
  test::DnsServer dns([](const wire::Question&) -> Replies { return {}; });
  use_dns(dns.address());
  const auto to = named("mute.test", 80, mesh::Discovery::strict_dns);
  auto given_up = upstreams->acquire(to, {});
  given_up.start({});
  given_up = {};
  auto waiting = upstreams->acquire(to, {});
  waiting.start({});
  upstreams.reset();
  resolver.reset();
  test::await(loop, until(loop, [&waiting] { return waiting.done(); }));
  EXPECT_FALSE(waiting.take());
}

}  // namespace
}  // namespace sallyport::upstream
