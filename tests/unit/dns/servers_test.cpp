// Several servers, search domains, denials, thousands of names: how many questions go where.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>

#include "agent/core/limits.h"
#include "agent/net/combine.h"
#include "dns/resolver.h"
#include "tests/support/await.h"
#include "tests/support/dns_server.h"

namespace sallyport::dns {
namespace {

using namespace std::chrono_literals;
using test::await;
using test::DnsServer;
namespace wire = test::dns;
using Replies = std::vector<std::string>;
using Texts = std::vector<std::string>;

Replies one_v4(const wire::Question& q) {
  return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 100)})};
}
Replies failing(const wire::Question& q) { return {wire::reply(q, {}, wire::server_failure)}; }
Replies silent(const wire::Question&) { return {}; }

// "No such name", with an SOA of this MINIMUM.
Replies denied(const wire::Question& q, uint32_t minimum) {
  std::string message = wire::reply(q, {}, wire::no_such_name);
  message[9] = 1;  // one record of authority
  const std::string data = wire::wire_name("ns.test") + wire::wire_name("admin.test") +
                           wire::u32(1) + wire::u32(2) + wire::u32(3) + wire::u32(4) +
                           wire::u32(minimum);
  return {message + wire::wire({"test", 6, 3600, data})};
}

ResolverOptions v4_from(const std::vector<SocketAddress>& servers,
                        std::chrono::milliseconds timeout = 5000ms) {
  return {servers, true, false, timeout, 1};
}

struct Failover {
  const char* name;
  Replies (*first)(const wire::Question&);
};

TEST(DnsServers, TheNextIsAskedWhenOneFails) {
  for (const Failover& c : {Failover{"fails", failing}, Failover{"is silent", silent}}) {
    DnsServer bad(c.first), good(one_v4);
    net::Loop loop;
    Resolver resolver(loop, v4_from({bad.address(), good.address()}, 50ms));
    EXPECT_TRUE(await(loop, resolver.resolve("a.test"))) << c.name;
    EXPECT_EQ(bad.asked(), 1) << c.name;
    EXPECT_EQ(good.asked(), 1) << c.name;
  }
}

TEST(DnsServers, ASilentFirstOneCostsItsTimeOnceNotForEachName) {
  DnsServer mute(silent), good(one_v4);
  net::Loop loop;
  Resolver resolver(loop, v4_from({mute.address(), good.address()}, 50ms));
  for (const char* name : {"a.test", "b.test", "c.test"}) {
    EXPECT_TRUE(await(loop, resolver.resolve(name))) << name;
  }
  EXPECT_EQ(mute.asked(), 1);
  EXPECT_EQ(good.asked(), 3);
}

TEST(DnsServers, TheFirstOneIsTheFirstAgainOnceItAnswers) {
  std::atomic<bool> down{true};
  DnsServer first([&down](const wire::Question& q) { return down ? silent(q) : one_v4(q); });
  DnsServer second(one_v4);
  net::Loop loop;
  auto options = v4_from({first.address(), second.address()}, 50ms);
  options.server_retry = 0ms;
  Resolver resolver(loop, options);
  EXPECT_TRUE(await(loop, resolver.resolve("a.test")));
  down = false;
  int names = 0;
  while (names < 100) {  // The probe's answer may come after the other server's.
    const int asked = second.asked();
    EXPECT_TRUE(await(loop, resolver.resolve(std::to_string(++names) + ".test")));
    if (second.asked() == asked) break;
  }
  EXPECT_LT(names, 100);
}

TEST(DnsServers, ADenialHoldsAsLongAsItsSoaSays) {
  DnsServer server([](const wire::Question& q) { return denied(q, 1); });
  net::Loop loop;
  Resolver resolver(loop, v4_from({server.address()}));
  EXPECT_FALSE(await(loop, resolver.resolve("gone.test")));
  EXPECT_FALSE(await(loop, resolver.resolve("gone.test")));
  EXPECT_EQ(server.asked(), 1);
  await(loop, net::sleep_for(loop, 1020ms));
  EXPECT_FALSE(await(loop, resolver.resolve("gone.test")));
  EXPECT_EQ(server.asked(), 2);
}

// A resolv.conf of the test's own; the servers are given.
class SearchDomains : public testing::Test {
protected:
  SearchDomains() { write("search one.test two.test\noptions ndots:2\n"); }
  ~SearchDomains() override { std::filesystem::remove(path); }
  void write(const std::string& text) {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  }
  ResolverOptions options() {
    auto out = v4_from({server.address()});
    out.resolv_conf = path;
    out.warn = [this](const std::string& line) { said.push_back(line); };
    return out;
  }
  Texts take_names() {
    const std::lock_guard lock(mutex);
    return std::exchange(names, {});
  }

  const std::string path =
      testing::TempDir() + "sallyport-resolv-" + std::to_string(getpid()) + ".conf";
  std::mutex mutex;
  Texts names, said;
  DnsServer server{[this](const wire::Question& q) -> Replies {
    const std::lock_guard lock(mutex);
    names.push_back(q.name);
    if (!q.name.ends_with("two.test")) return denied(q, 60);
    return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 1)})};
  }};
};

TEST_F(SearchDomains, AreAskedInTurnAndARefreshAsksForTheOneThatWas) {
  net::Loop loop;
  Resolver resolver(loop, options());
  EXPECT_TRUE(await(loop, resolver.resolve("web")));
  EXPECT_EQ(take_names(), (Texts{"web.one.test", "web.two.test"}));
  await(loop, net::sleep_for(loop, 1020ms));
  EXPECT_TRUE(await(loop, resolver.resolve("web")));
  EXPECT_EQ(take_names(), Texts{"web.two.test"});
}

TEST_F(SearchDomains, AnAbsoluteNameIsAskedForAsItIs) {
  net::Loop loop;
  Resolver resolver(loop, options());
  EXPECT_FALSE(await(loop, resolver.resolve("web.")));
  EXPECT_EQ(take_names(), Texts{"web"});
}

TEST_F(SearchDomains, AChangedResolvConfCountsFromTheNextName) {
  net::Loop loop;
  Resolver resolver(loop, options());
  EXPECT_TRUE(await(loop, resolver.resolve("web")));
  take_names();
  write("search two.test\noptions ndots:1\n");
  await(loop, net::sleep_for(loop, limits::resolv_conf_recheck + 20ms));
  EXPECT_TRUE(await(loop, resolver.resolve("shop")));
  EXPECT_EQ(take_names(), Texts{"shop.two.test"});
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find(path + " has changed"), std::string::npos) << said[0];
}

// At the start of a pod its files may still be on their way.
TEST_F(SearchDomains, AnUnusableResolvConfIsLookedAtAgain) {
  std::filesystem::remove(path);
  std::filesystem::create_symlink(path, path);  // a loop: it can't be opened
  net::Loop loop;
  Resolver resolver(loop, options());
  EXPECT_FALSE(await(loop, resolver.resolve("web")));
  take_names();
  write("search two.test\noptions ndots:1\n");
  await(loop, net::sleep_for(loop, limits::resolv_conf_recheck + 20ms));
  EXPECT_TRUE(await(loop, resolver.resolve("shop")));
  EXPECT_EQ(take_names(), Texts{"shop.two.test"});
}

struct OtherFamily {
  const char* name;
  Replies (*then)(const wire::Question&);
  bool kept;
};
const OtherFamily other_families[] = {
    {"fails: kept", failing, true},
    {"is silent: kept", silent, true},
    {"is denied: dropped", [](const wire::Question& q) -> Replies { return {wire::reply(q, {})}; },
     false},
};

TEST(DnsLastAnswer, OfAFamilyThatFailsIsKeptBesideTheOthersNewOne) {
  for (const OtherFamily& c : other_families) {
    std::atomic<bool> later{false};
    DnsServer server([&](const wire::Question& q) -> Replies {
      if (later && q.type == wire::type_aaaa) return c.then(q);
      const char* v4 = later ? "10.0.0.2" : "10.0.0.1";
      return {
          wire::reply(q, {wire::address(q.name, q.type == wire::type_a ? v4 : "2001:db8::1", 1)})};
    });
    net::Loop loop;
    Resolver resolver(loop, {{server.address()}, true, true, 5000ms, 1});
    EXPECT_TRUE(await(loop, resolver.resolve("a.test")));
    later = true;
    await(loop, net::sleep_for(loop, 1020ms));
    const auto answer = await(loop, resolver.resolve("a.test"));
    ASSERT_TRUE(answer) << c.name;
    Texts got;
    for (const auto& ip : answer->addresses) got.push_back(ip.text());
    EXPECT_EQ(got, (c.kept ? Texts{"10.0.0.2", "2001:db8::1"} : Texts{"10.0.0.2"})) << c.name;
  }
}

TEST(DnsLastAnswer, PastItsTimeIsNotGivenWhileARefreshIsLate) {
  std::atomic<bool> mute{false};
  DnsServer server([&mute](const wire::Question& q) -> Replies {
    if (mute) return {};
    return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 1)})};
  });
  net::Loop loop;
  auto options = v4_from({server.address()}, 60'000ms);
  options.keep_stale = 0ms;
  Resolver resolver(loop, options);
  EXPECT_TRUE(await(loop, resolver.resolve("a.test")));
  mute = true;
  await(loop, net::sleep_for(loop, 1020ms));
  const auto patience = limits::dns_client_wait + 500ms;
  const auto late = await(loop, net::with_deadline(loop, patience, resolver.resolve("a.test")));
  EXPECT_FALSE(late) << "the old answer was given";
}

TEST(DnsLastAnswer, IsKeptForABoundedTimeOnlyAndTheLogSaysSo) {
  for (const bool within : {true, false}) {
    std::atomic<bool> broken{false};
    DnsServer server([&broken](const wire::Question& q) -> Replies {
      if (broken) return failing(q);
      return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 1)})};
    });
    Texts said;
    net::Loop loop;
    auto options = v4_from({server.address()});
    options.keep_stale = within ? 3600'000ms : 0ms;
    options.warn = [&said](const std::string& line) { said.push_back(line); };
    Resolver resolver(loop, options);
    EXPECT_TRUE(await(loop, resolver.resolve("a.test", 10ms)));
    broken = true;
    await(loop, net::sleep_for(loop, 1020ms));
    EXPECT_EQ(bool(await(loop, resolver.resolve("a.test", 10ms))), within);
    await(loop, net::sleep_for(loop, 20ms));
    EXPECT_EQ(bool(await(loop, resolver.resolve("a.test", 10ms))), within);
    ASSERT_EQ(said.size(), 1u) << "once";
    EXPECT_NE(said[0].find(within ? "is kept for" : "given up"), std::string::npos) << said[0];
    broken = false;
    await(loop, net::sleep_for(loop, 20ms));
    EXPECT_TRUE(await(loop, resolver.resolve("a.test", 10ms)));
    EXPECT_EQ(said.back().find("answer again") != std::string::npos, within) << said.back();
  }
}

TEST(DnsLimits, OfFiveHundredAddressesTheFirstAreUsedAndTheRestIsNamedOnce) {
  DnsServer server([](const wire::Question& q) -> Replies {
    if (!q.tcp) return {wire::reply(q, {}, wire::no_error, true)};
    std::vector<wire::Record> records;
    for (int i = 0; i < 500; ++i) {
      const auto ip = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
      records.push_back(wire::address(q.name, ip, 1));
    }
    return {wire::reply(q, records)};
  });
  Texts said;
  net::Loop loop;
  auto options = v4_from({server.address()});
  options.warn = [&said](const std::string& line) { said.push_back(line); };
  Resolver resolver(loop, options);
  for (int round = 0; round < 2; ++round) {
    const auto answer = await(loop, resolver.resolve("many.test"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->addresses.size(), limits::dns_addresses);
    EXPECT_EQ(answer->addresses.front().text(), "10.0.0.1");
    await(loop, net::sleep_for(loop, 1020ms));
  }
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("many.test"), std::string::npos) << said[0];
}

net::Task<void> ask_for(Resolver& resolver, std::string name, int& left, net::Loop& loop,
                        std::set<int64_t>& ttls) {
  const auto answer = co_await resolver.resolve(std::move(name));
  if (answer) ttls.insert(answer->ttl.count());
  if (--left == 0) loop.stop();
}

TEST(DnsLimits, AThousandNamesAreAskedForOnceEachAFewAtATimeAndExpireApart) {
  constexpr int names = 1000, askers = 3;
  DnsServer server(one_v4);
  net::Loop loop;
  Resolver resolver(loop, v4_from({server.address()}));
  int left = names * askers;
  std::set<int64_t> ttls;
  for (int i = 0; i < names * askers; ++i) {
    const auto name = std::to_string(i % names) + ".test";
    loop.spawn(ask_for(resolver, name, left, loop, ttls));
  }
  EXPECT_EQ(resolver.counts().queries,
            limits::dns_queries_at_once - 2 * limits::dns_reserved_queries);
  loop.run();
  EXPECT_EQ(resolver.counts().queries, uint64_t(names));
  EXPECT_EQ(resolver.counts().failures, 0u);
  EXPECT_EQ(server.asked(), names);
  EXPECT_GT(ttls.size(), 1u) << "one TTL, yet not one moment of refresh";
}

net::Task<void> ask_in_vain(Resolver& resolver, std::string name, NamedBy by) {
  co_await resolver.resolve(std::move(name), limits::dns_refresh_on_error, by);
}

TEST(DnsLimits, NamesThatNobodyAnswersDoNotKeepAKnownOneFromBeingRefreshed) {
  DnsServer server([](const wire::Question& q) -> Replies {
    if (q.name.ends_with(".mute")) return {};
    return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 1)})};
  });
  net::Loop loop;
  Resolver resolver(loop, v4_from({server.address()}, 60'000ms));
  EXPECT_TRUE(await(loop, resolver.resolve("a.test")));
  for (const NamedBy by : {NamedBy::client, NamedBy::configuration}) {
    for (std::size_t i = 0; i < 2 * limits::dns_queries_at_once; ++i) {
      const auto name = std::to_string(i) + (by == NamedBy::client ? ".client.mute" : ".mute");
      loop.spawn(ask_in_vain(resolver, name, by));
    }
  }
  await(loop, net::sleep_for(loop, 1020ms));
  const auto answer = await(loop, resolver.resolve("a.test"));
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->stale);
}

TEST(DnsLimits, NamesThatClientsMakeUpDoNotFillTheQueueForConfiguredOnes) {
  DnsServer server(
      [](const wire::Question& q) { return q.name == "a.test" ? one_v4(q) : Replies(); });
  net::Loop loop;
  Resolver resolver(loop, v4_from({server.address()}, 60'000ms));
  for (std::size_t i = 0; i < limits::dns_queries + limits::dns_queries_at_once; ++i) {
    loop.spawn(ask_in_vain(resolver, std::to_string(i) + ".test", NamedBy::client));
  }
  const auto refused =
      await(loop, resolver.resolve("more.test", limits::dns_refresh_on_error, NamedBy::client));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::overflow);
  EXPECT_TRUE(await(loop, resolver.resolve("a.test")));
}

}  // namespace
}  // namespace sallyport::dns
