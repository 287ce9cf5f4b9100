// What the pod's servers can do to a question that is forwarded: answer late, lie, fail, be silent.
#include "dns/forwarder.h"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <set>

#include "agent/net/combine.h"
#include "dns/response.h"
#include "tests/support/await.h"
#include "tests/support/dns_server.h"

namespace sallyport::dns {
namespace {

using namespace std::chrono_literals;
using test::DnsServer;
namespace wire = test::dns;
using Replies = std::vector<std::string>;

std::string query_for(std::string_view name, uint16_t id = 7) {
  return wire::u16(id) + wire::u16(0x0100) + wire::u16(1) + wire::u16(0) + wire::u16(0) +
         wire::u16(0) + wire::wire_name(name) + wire::u16(wire::type_a) + wire::u16(1);
}

Replies answer(const wire::Question& q) {
  return {wire::reply(q, {wire::address(q.name, "10.0.0.1", 60)})};
}
Replies silence(const wire::Question&) { return {}; }
Replies failure(const wire::Question& q) { return {wire::reply(q, {}, wire::server_failure)}; }

SocketAddress closed_port() {
  const DnsServer gone(silence);
  return gone.address();
}

class ForwarderTest : public testing::Test {
protected:
  Forwarder& forwarder(std::vector<SocketAddress> servers, std::chrono::milliseconds time = 20s) {
    ForwarderOptions options;
    options.servers = std::move(servers);
    options.time = time;
    options.parallel = parallel_;
    options.warn = [this](const std::string& line) { said_.push_back(line); };
    return forwarder_.emplace(loop_, std::move(options));
  }
  std::string asked(Forwarder& through, bool tcp = false, std::string_view name = "a.test") {
    const std::string query = query_for(name);
    Question question;
    EXPECT_EQ(read_question(query, question), Reading::answer);
    return test::await(loop_, through.ask(query, question, tcp));
  }
  // As the application gets it.
  std::string told(const std::string& response) {
    if (response.empty()) return "nothing";
    const auto facts = read_response(response);
    if (facts.rcode != 0) return "rcode " + std::to_string(facts.rcode);
    return facts.truncated ? "truncated" : "answered";
  }

  net::Loop loop_;
  std::optional<Forwarder> forwarder_;
  std::vector<std::string> said_;
  bool parallel_ = false;
};

TEST_F(ForwarderTest, GivesTheServersResponse) {
  const DnsServer server(answer);
  EXPECT_EQ(told(asked(forwarder({server.address()}))), "answered");
  EXPECT_EQ(server.asked(), 1);
}

TEST_F(ForwarderTest, IdsAreItsOwnAndDiffer) {
  std::set<uint16_t> ids;
  const DnsServer server([&](const wire::Question& q) {
    ids.insert(q.id);
    return answer(q);
  });
  auto& through = forwarder({server.address()});
  for (int i = 0; i < 20; i++) EXPECT_EQ(told(asked(through)), "answered");
  EXPECT_GT(ids.size(), 15u);
}

TEST_F(ForwarderTest, WhatFitsNeitherIdNorQuestionIsNoAnswer) {
  const DnsServer server([](const wire::Question& q) {
    auto other_id = q, other_name = q, other_type = q;
    other_id.id ^= 1;
    other_name.name = "b.test";
    other_type.type = wire::type_aaaa;
    std::string no_response = answer(q)[0];
    no_response[2] = char(no_response[2] & 0x7f);
    return Replies{answer(other_id)[0],
                   answer(other_name)[0],
                   answer(other_type)[0],
                   no_response,
                   "x",
                   wire::reply(q, {}, wire::no_such_name)};
  });
  EXPECT_EQ(told(asked(forwarder({server.address()}))), "rcode 3") << "the only honest one";
}

TEST_F(ForwarderTest, WhoeverGuessesInADatagramFloodLosesTheSocket) {
  std::atomic<int> round = 0;
  const DnsServer server([&](const wire::Question& q) {
    if (round++ > 0) return answer(q);
    Replies flood;
    for (int i = 0; i < 100; i++) {
      auto guess = q;
      guess.id = static_cast<uint16_t>(q.id + 1 + i);
      flood.push_back(wire::reply(guess, {}, wire::no_such_name));
    }
    return flood;
  });
  EXPECT_EQ(told(asked(forwarder({server.address()}))), "answered") << "by another port and id";
  EXPECT_EQ(server.asked(), 2);
}

TEST_F(ForwarderTest, ASilentServerIsNotWaitedForAlone) {
  const DnsServer silent(silence), good(answer);
  auto& through = forwarder({silent.address(), good.address()});
  while (silent.asked() == 0) EXPECT_EQ(told(asked(through)), "answered");
  EXPECT_GE(good.asked(), 1);
}

TEST_F(ForwarderTest, ADatagramThatIsLostIsSentAgain) {
  std::atomic<int> round = 0;
  const DnsServer server(
      [&](const wire::Question& q) { return round++ == 0 ? Replies() : answer(q); });
  EXPECT_EQ(told(asked(forwarder({server.address()}))), "answered");
  EXPECT_EQ(server.asked(), 2);
}

// At random: clients ask for both families of a name, so that turns would part the families.
TEST_F(ForwarderTest, QuestionsAreSpreadOverTheServers) {
  const DnsServer one(answer), two(answer);
  auto& through = forwarder({one.address(), two.address()});
  for (int i = 0; i < 100; i++) EXPECT_EQ(told(asked(through)), "answered");
  EXPECT_GT(one.asked(), 20);
  EXPECT_GT(two.asked(), 20);
}

TEST_F(ForwarderTest, AServerThatFailsIsNoAnswerWhileAnotherMayKnow) {
  const DnsServer bad(failure), good(answer);
  auto& through = forwarder({bad.address(), good.address()});
  while (bad.asked() == 0) EXPECT_EQ(told(asked(through)), "answered");
  EXPECT_GE(good.asked(), 1);
}

TEST_F(ForwarderTest, WhereAllFailTheClientIsToldWhatTheySaid) {
  const DnsServer bad(failure);
  EXPECT_EQ(told(asked(forwarder({bad.address(), closed_port()}))), "rcode 2");
}

TEST_F(ForwarderTest, WhoHasFailedIsNotAskedAgain) {
  const DnsServer bad(failure);
  EXPECT_EQ(told(asked(forwarder({bad.address()}))), "rcode 2");
  EXPECT_EQ(bad.asked(), 1);
}

TEST_F(ForwarderTest, BesideAFailureASilentServerIsNotWaitedForToTheEnd) {
  const DnsServer bad(failure), silent(silence);
  auto& through = forwarder({bad.address(), silent.address()}, 1h);
  while (bad.asked() == 0 || silent.asked() == 0) EXPECT_EQ(told(asked(through)), "rcode 2");
}

TEST_F(ForwarderTest, ACutResponseIsBetterThanAFailure) {
  const DnsServer cut([](const wire::Question& q) {
    return q.tcp ? Replies() : Replies{wire::reply(q, {}, 0, true)};
  });
  const DnsServer bad(failure);
  auto& through = forwarder({cut.address(), bad.address()}, 1h);
  while (cut.asked() == 0) asked(through);
  EXPECT_EQ(told(asked(through)), "truncated");
}

TEST_F(ForwarderTest, TheProxyDoesNotAskItself) {
  const DnsServer self(answer);
  ForwarderOptions options;
  options.servers = options.own = {self.address()};
  Forwarder through(loop_, std::move(options));
  EXPECT_EQ(told(asked(through)), "nothing");
  EXPECT_EQ(self.asked(), 0);
}

TEST_F(ForwarderTest, AClosedPortCostsNoTime) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(told(asked(forwarder({closed_port()}))), "nothing");
  EXPECT_LT(std::chrono::steady_clock::now() - before, limits::dns_proxy_try);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_TRUE(said_[0].starts_with("DNS proxy: no answer from 127.0.0.1:")) << said_[0];
}

TEST_F(ForwarderTest, ATruncatedResponseIsAskedForByTcp) {
  const DnsServer server([](const wire::Question& q) {
    if (!q.tcp) return Replies{wire::reply(q, {}, 0, true)};
    return answer(q);
  });
  EXPECT_EQ(told(asked(forwarder({server.address()}))), "answered");
}

TEST_F(ForwarderTest, WhereTcpFailsTheTruncatedResponseIsBetterThanNone) {
  const DnsServer server([](const wire::Question& q) {
    return q.tcp ? Replies{"nonsense"} : Replies{wire::reply(q, {}, 0, true)};
  });
  EXPECT_EQ(told(asked(forwarder({server.address()}))), "truncated");
}

TEST_F(ForwarderTest, WhatIsAskedByTcpIsForwardedByTcp) {
  std::atomic<int> datagrams = 0;
  const DnsServer server([&](const wire::Question& q) {
    datagrams += !q.tcp;
    return answer(q);
  });
  EXPECT_EQ(told(asked(forwarder({server.address()}), true)), "answered");
  EXPECT_EQ(datagrams, 0);
}

TEST_F(ForwarderTest, InParallelASilentServerCostsNothing) {
  parallel_ = true;
  const DnsServer silent(silence), good(answer);
  auto& through = forwarder({silent.address(), good.address()});
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 2; i++) EXPECT_EQ(told(asked(through)), "answered");
  EXPECT_LT(std::chrono::steady_clock::now() - before, limits::dns_proxy_try);
  for (int i = 0; i < 20'000 && silent.asked() < 2; i++)
    std::this_thread::sleep_for(1ms);  // it looks at what it got in its own thread
  EXPECT_EQ(silent.asked(), 2);
}

TEST_F(ForwarderTest, TheTimeEndsIt) {
  const DnsServer silent(silence);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(told(asked(forwarder({silent.address()}, 100ms))), "nothing");
  EXPECT_GE(std::chrono::steady_clock::now() - before, 100ms);
}

net::Task<void> ask_into(Forwarder& through, std::string query, std::vector<std::string>& answers) {
  Question question;
  read_question(query, question);
  answers.push_back(co_await through.ask(query, question, false));
}

TEST_F(ForwarderTest, MoreQuestionsThanTheLimitAreRefusedAtOnce) {
  const DnsServer silent(silence);
  auto& through = forwarder({silent.address()}, 300ms);
  std::vector<std::string> answers;
  for (std::size_t i = 0; i < limits::dns_proxy_queries; i++)
    loop_.spawn(ask_into(through, query_for("a.test"), answers));
  EXPECT_TRUE(answers.empty());
  loop_.spawn(ask_into(through, query_for("a.test"), answers));
  EXPECT_EQ(answers, std::vector<std::string>{""});
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0], "DNS proxy: 512 questions wait for the servers: more are answered SERVFAIL");
  loop_.end_tasks();
}

TEST_F(ForwarderTest, AnotherResolvConfIsFollowed) {
  const std::string path = testing::TempDir() + "resolv-" + std::to_string(getpid());
  const auto write = [&](const char* text) { std::ofstream(path) << text; };
  write("search one.test two.test\n");
  ForwarderOptions options;
  options.resolv_conf = path;
  Forwarder through(loop_, std::move(options));
  EXPECT_EQ(through.search_domain(), "one.test");
  write("nameserver 127.0.0.9\nsearch three.test\n");
  EXPECT_EQ(through.search_domain(), "one.test") << "it is looked at once a second";
  test::await(loop_, net::sleep_for(loop_, limits::resolv_conf_recheck));
  EXPECT_EQ(through.search_domain(), "three.test");
  unlink(path.c_str());
}

TEST_F(ForwarderTest, WithoutAServerNobodyIsAskedAndTheReasonIsSaid) {
  ForwarderOptions options;
  options.resolv_conf = "/nowhere/resolv.conf";
  options.warn = [this](const std::string& line) { said_.push_back(line); };
  Forwarder through(loop_, std::move(options));
  EXPECT_EQ(told(asked(through)), "nothing");
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_EQ(said_[0],
            "DNS proxy: /nowhere/resolv.conf: No such file or directory; names outside the mesh "
            "fail");
}

}  // namespace
}  // namespace sallyport::dns
