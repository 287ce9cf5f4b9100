// What a resolver gives for each way in which a DNS server can answer, lie or be silent.
#include "dns/resolver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "agent/core/limits.h"
#include "agent/net/combine.h"
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

ResolverOptions asking(const DnsServer& server, std::chrono::milliseconds timeout = 5000ms) {
  return {{server.address()}, true, true, timeout, 1};
}

Texts texts(const Result<Answer>& answer) {
  Texts out;
  if (!answer) return {answer.error().context};
  for (const auto& ip : answer->addresses) out.push_back(ip.text());
  return out;
}

// A for 10.0.0.1, no AAAA.
Replies one_v4(const wire::Question& q) {
  if (q.type != wire::type_a) return {wire::reply(q, {})};
  return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 60)})};
}

TEST(Resolver, GivesBothFamiliesV4First) {
  DnsServer server([](const wire::Question& q) -> Replies {
    return {
        wire::reply(q, {wire::address(q.name, q.type == wire::type_a ? "10.0.0.1" : "2001:db8::1",
                                      q.type == wire::type_a ? 60 : 20)})};
  });
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  const auto answer = await(loop, resolver.resolve("a.test"));
  EXPECT_EQ(texts(answer), (Texts{"10.0.0.1", "2001:db8::1"}));
  EXPECT_FALSE(answer->stale);
  EXPECT_LE(answer->ttl, 20s);
}

TEST(Resolver, AsksOnlyForTheFamiliesWanted) {
  DnsServer server(one_v4);
  net::Loop loop;
  auto options = asking(server);
  options.want_v6 = false;
  Resolver resolver(loop, options);
  EXPECT_EQ(texts(await(loop, resolver.resolve("a.test"))), Texts{"10.0.0.1"});
  EXPECT_EQ(server.asked(), 1);
}

TEST(Resolver, AnIpLiteralAnswersItself) {
  net::Loop loop;
  Resolver resolver(loop, {{SocketAddress::parse("127.0.0.1:1").value()}, true, true, 100ms, 1});
  EXPECT_EQ(texts(await(loop, resolver.resolve("192.0.2.7"))), Texts{"192.0.2.7"});
  EXPECT_EQ(texts(await(loop, resolver.resolve("2001:db8::7"))), Texts{"2001:db8::7"});
}

TEST(Resolver, AsksTheHostsFileFirst) {
  DnsServer server(
      [](const wire::Question& q) -> Replies { return {wire::reply(q, {}, wire::no_such_name)}; });
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  const auto answer = await(loop, resolver.resolve("localhost"));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->addresses.front().is_loopback());
  EXPECT_EQ(server.asked(), 0);
}

TEST(Resolver, WhileTheTtlHoldsItAnswersFromItsCacheWhateverTheCaseOfTheName) {
  DnsServer server(one_v4);
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  await(loop, resolver.resolve("a.test"));
  EXPECT_EQ(texts(await(loop, resolver.resolve("A.Test."))), Texts{"10.0.0.1"});
  EXPECT_EQ(server.asked(), 2);  // A and AAAA, once
}

net::Task<void> count_answers(Resolver& resolver, int& answers, int all, net::Loop& loop) {
  const auto answer = co_await resolver.resolve("a.test");
  if (answer && ++answers == all) loop.stop();
}

TEST(Resolver, AllWhoAskMeanwhileShareOneQuery) {
  DnsServer server(one_v4);
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  int answers = 0;
  for (int i = 0; i < 50; ++i) loop.spawn(count_answers(resolver, answers, 50, loop));
  loop.run();
  EXPECT_EQ(answers, 50);
  EXPECT_EQ(server.asked(), 2);
}

TEST(Resolver, ATtlOfZeroIsNotAQueryARequest) {
  DnsServer server([](const wire::Question& q) -> Replies {
    return {wire::reply(q, {wire::address("a.test", "10.0.0.1", 0)})};
  });
  net::Loop loop;
  auto options = asking(server);
  options.want_v6 = false;
  Resolver resolver(loop, options);
  EXPECT_EQ(await(loop, resolver.resolve("a.test"))->ttl, limits::dns_ttl_min);
  await(loop, resolver.resolve("a.test"));
  EXPECT_EQ(server.asked(), 1);
}

TEST(Resolver, NoSuchNameSaysSoAndIsRememberedForAWhile) {
  DnsServer server(
      [](const wire::Question& q) -> Replies { return {wire::reply(q, {}, wire::no_such_name)}; });
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  const auto answer = await(loop, resolver.resolve("missing.test"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, Fault::no_endpoint);
  EXPECT_NE(answer.error().context.find("missing.test"), std::string::npos);
  EXPECT_NE(answer.error().context.find("NXDOMAIN"), std::string::npos);
  EXPECT_NE(answer.error().context.find(server.address().text()), std::string::npos);
  await(loop, resolver.resolve("missing.test"));
  EXPECT_EQ(server.asked(), 2);
}

TEST(Resolver, ANameWithoutAddressesIsNotTheSameAsNoName) {
  DnsServer server([](const wire::Question& q) -> Replies { return {wire::reply(q, {})}; });
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  const auto answer = await(loop, resolver.resolve("empty.test"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, Fault::no_endpoint);
  EXPECT_EQ(answer.error().context.find("NXDOMAIN"), std::string::npos);
}

TEST(Resolver, ASilentServerTimesOut) {
  DnsServer server([](const wire::Question&) -> Replies { return {}; });
  net::Loop loop;
  Resolver resolver(loop, asking(server, 50ms));
  const auto answer = await(loop, resolver.resolve("a.test"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, Fault::timed_out);
  EXPECT_EQ(resolver.counts().failures, 1u);
}

TEST(Resolver, OneFamilyThatIsNeverAnsweredDoesNotHoldUpTheOther) {
  DnsServer server([](const wire::Question& q) -> Replies {
    return q.type == wire::type_a ? one_v4(q) : Replies{};
  });
  net::Loop loop;
  Resolver resolver(loop, asking(server, 60'000ms));  // ctest's limit would end a test that waits
  EXPECT_EQ(texts(await(loop, resolver.resolve("a.test"))), Texts{"10.0.0.1"});
}

TEST(Resolver, ATruncatedAnswerIsAskedForOverTcp) {
  DnsServer server([](const wire::Question& q) -> Replies {
    if (!q.tcp) return {wire::reply(q, {}, wire::no_error, true)};
    std::vector<wire::Record> records;
    for (int i = 1; i <= 100; ++i) {
      records.push_back(wire::address(q.name, "10.0.0." + std::to_string(i), 60));
    }
    return {wire::reply(q, records)};
  });
  net::Loop loop;
  auto options = asking(server);
  options.want_v6 = false;
  Resolver resolver(loop, options);
  EXPECT_EQ(texts(await(loop, resolver.resolve("many.test"))).size(), 100u);
}

struct Lie {
  const char* name;
  std::function<Replies(const wire::Question&)> script;
};
Replies with_other_id(wire::Question q) {
  q.id ^= 0x5555;
  return {wire::reply(q, {wire::address(q.name, "6.6.6.6", 60)})};
}
Replies with_other_question(wire::Question q) {
  q.name = "evil.test";
  return {wire::reply(q, {wire::address("a.test", "6.6.6.6", 60)})};
}
Replies about_others(const wire::Question& q) {
  return {wire::reply(q, {wire::address("evil.test", "6.6.6.6", 60)})};
}
Replies garbage(const wire::Question& q) {
  return {"", "x", std::string(500, '\xff'), wire::u16(q.id) + std::string(40, '\xc0')};
}
Replies counts_too_much(const wire::Question& q) {
  std::string message = wire::reply(q, {wire::address(q.name, "6.6.6.6", 60)});
  message[6] = message[7] = '\xff';
  return {message};
}
const Lie lies[] = {{"another id", with_other_id},
                    {"another question", with_other_question},
                    {"records of another name", about_others},
                    {"garbage", garbage},
                    {"more records announced than there are", counts_too_much}};

TEST(Resolver, ALyingServerGetsNoAddressIn) {
  for (const Lie& lie : lies) {
    DnsServer server(lie.script);
    net::Loop loop;
    Resolver resolver(loop, asking(server, 50ms));
    EXPECT_FALSE(await(loop, resolver.resolve("a.test"))) << lie.name;
  }
}

TEST(Resolver, ALieBeforeTheTruthIsPassedOver) {
  DnsServer server([](const wire::Question& q) -> Replies {
    auto replies = with_other_id(q);
    for (auto& lie : with_other_question(q)) replies.push_back(lie);
    for (auto& truth : one_v4(q)) replies.push_back(truth);
    return replies;
  });
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  EXPECT_EQ(texts(await(loop, resolver.resolve("a.test"))), Texts{"10.0.0.1"});
}

TEST(Resolver, ANonsenseNameIsAnErrorAndNoQuery) {
  DnsServer server(one_v4);
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  EXPECT_FALSE(await(loop, resolver.resolve("")));
  EXPECT_FALSE(await(loop, resolver.resolve("a..test")));
  EXPECT_FALSE(await(loop, resolver.resolve(std::string(300, 'a') + ".test")));
  EXPECT_EQ(server.asked(), 0);
}

// How the last good answer fares when the server's next word is another.
struct Next {
  const char* name;
  Replies (*then)(const wire::Question&);
  bool kept;
};
const Next nexts[] = {
    {"a failing server: kept",
     [](const wire::Question& q) -> Replies { return {wire::reply(q, {}, wire::server_failure)}; },
     true},
    {"a silent server: kept", [](const wire::Question&) -> Replies { return {}; }, true},
    {"no such name any more: dropped",
     [](const wire::Question& q) -> Replies { return {wire::reply(q, {}, wire::no_such_name)}; },
     false},
    {"no address any more: dropped",
     [](const wire::Question& q) -> Replies { return {wire::reply(q, {})}; }, false},
};

TEST(Resolver, TheLastGoodAnswerOutlivesFailuresButNotDenials) {
  for (const Next& next : nexts) {
    std::atomic<bool> changed{false};
    DnsServer server([&](const wire::Question& q) -> Replies {
      if (changed) return next.then(q);
      if (q.type != wire::type_a) return {wire::reply(q, {})};
      return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 1)})};
    });
    net::Loop loop;
    Resolver resolver(loop, asking(server, 50ms));
    await(loop, resolver.resolve("a.test"));
    changed = true;
    await(loop, net::sleep_for(loop, limits::dns_ttl_min + 20ms));  // the TTL runs out
    const auto answer = await(loop, resolver.resolve("a.test"));
    EXPECT_EQ(bool(answer), next.kept) << next.name;
    if (!answer) continue;
    EXPECT_TRUE(answer->stale) << next.name;
    EXPECT_EQ(texts(answer), Texts{"10.0.0.1"}) << next.name;
    EXPECT_GT(answer->ttl, limits::dns_refresh_on_error - 5s) << next.name;
  }
}

TEST(Resolver, ARefreshThatIsLateIsNotWaitedForWhileAnOldAnswerIsThere) {
  std::atomic<bool> silent{false};
  DnsServer server([&](const wire::Question& q) -> Replies {
    if (silent || q.type != wire::type_a) return {};
    return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 1)})};
  });
  net::Loop loop;
  auto options = asking(server, 60'000ms);
  options.want_v6 = false;
  Resolver resolver(loop, options);
  await(loop, resolver.resolve("a.test"));
  silent = true;
  await(loop, net::sleep_for(loop, limits::dns_ttl_min + 20ms));
  const auto answer = await(loop, resolver.resolve("a.test"));
  EXPECT_EQ(texts(answer), Texts{"10.0.0.1"});
  EXPECT_TRUE(answer->stale);
}

TEST(Resolver, ATaskDestroyedWhileItWaitsLeavesTheQueryToTheOthers) {
  DnsServer server(one_v4);
  net::Loop loop;
  Resolver resolver(loop, asking(server));
  {
    auto given_up = resolver.resolve("a.test");
    given_up.start({});
  }
  EXPECT_EQ(texts(await(loop, resolver.resolve("a.test"))), Texts{"10.0.0.1"});
  EXPECT_EQ(server.asked(), 2);
}

TEST(Resolver, DestroyingItWakesWhoeverWaitsWithAnError) {
  DnsServer server([](const wire::Question&) -> Replies { return {}; });
  net::Loop loop;
  std::optional<Resolver> resolver(std::in_place, loop, asking(server, 60'000ms));
  auto waiting = resolver->resolve("a.test");
  auto task = net::with_deadline(loop, 60'000ms, std::move(waiting));
  loop.post([&resolver] { resolver.reset(); });
  const auto answer = await(loop, std::move(task));
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(*answer);
}

TEST(Resolver, DestroyingItWithItsWaitersLeavesNothingBehind) {
  DnsServer server([](const wire::Question&) -> Replies { return {}; });
  net::Loop loop;
  Resolver resolver(loop, asking(server, 60'000ms));
  auto task = resolver.resolve("a.test");
  task.start({});
}

}  // namespace
}  // namespace sallyport::dns
