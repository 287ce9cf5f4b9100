// What --learn remembers of destinations beyond the registry.
#include "agent/observe/egress.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"
#include "tests/support/allocations.h"

namespace sallyport::observe {
namespace {

SocketAddress at(const char* text) { return *SocketAddress::parse(text); }

class EgressLearned : public testing::Test {
protected:
  void see(std::string_view name, const char* destination,
           EgressProtocol protocol = EgressProtocol::tls, bool refused = false) {
    table_.record({name, at("10.0.0.7:4000"), at(destination), protocol, refused}, ++now_);
  }
  // "name address port protocol passed/refused"
  static std::string text_of(const EgressDestination& one) {
    return one.name + " " + one.address.text() + " " + std::to_string(one.port) + " " +
           std::string(name_of(one.protocol)) + " " + std::to_string(one.passed) + "/" +
           std::to_string(one.refused);
  }
  std::vector<std::string> learned() const {
    std::vector<std::string> out;
    for (const auto& one : merged({table_.report()}).destinations) out.push_back(text_of(one));
    return out;
  }
  using Lines = std::vector<std::string>;

  std::vector<std::size_t> asked_;
  int64_t now_ = 100;
  EgressTable table_{[this](std::size_t number, EgressProtocol, const SocketAddress&,
                            const SocketAddress&) { asked_.push_back(number); },
                     100};
};

TEST_F(EgressLearned, ANameIsOneDestinationWhateverItsAddresses) {
  see("api.example.com", "192.0.2.1:443");
  see("api.example.com", "192.0.2.2:443");
  see("api.example.com", "192.0.2.1:8443");
  see("api.example.com", "192.0.2.1:443", EgressProtocol::http);
  EXPECT_EQ(learned(), (Lines{"api.example.com 192.0.2.1 443 HTTP 1/0",
                              "api.example.com 192.0.2.1 443 TLS 2/0",
                              "api.example.com 192.0.2.1 8443 TLS 1/0"}));
}

TEST_F(EgressLearned, WithoutANameTheAddressIsOne) {
  see("", "192.0.2.1:5432", EgressProtocol::tcp);
  see("", "192.0.2.2:5432", EgressProtocol::tcp);
  see("", "192.0.2.2:5432", EgressProtocol::tcp, true);
  see("", "[2001:db8::7]:5432", EgressProtocol::tcp);
  EXPECT_EQ(learned(), (Lines{" 192.0.2.1 5432 TCP 1/0", " 192.0.2.2 5432 TCP 1/1",
                              " 2001:db8::7 5432 TCP 1/0"}));
}

TEST_F(EgressLearned, AnAuthorityIsItsHost) {
  for (const char* authority : {"Api.Example.COM", "api.example.com:8080", "api.example.com."})
    see(authority, "192.0.2.1:8080", EgressProtocol::http);
  EXPECT_EQ(learned(), (Lines{"api.example.com 192.0.2.1 8080 HTTP 3/0"}));
}

TEST_F(EgressLearned, WhatIsNoHostNameCountsForItsAddress) {
  const std::string long_one(300, 'a');
  for (const std::string_view authority : std::initializer_list<std::string_view>{
           "192.0.2.1", "[2001:db8::1]:80", "", "a b", "a\nkind: Secret", "\x1b[31m",
           "*.example.com", "-a.com", "a..com", "\xff\xfe", long_one})
    see(authority, "192.0.2.1:80", EgressProtocol::http);
  EXPECT_EQ(learned(), (Lines{" 192.0.2.1 80 HTTP 11/0"}));
}

TEST_F(EgressLearned, KnownDestinationsCostNoAllocation) {
  see("api.example.com", "192.0.2.1:443");
  see("", "192.0.2.9:443", EgressProtocol::tcp);
  asked_.reserve(100);
  const auto before = test::allocations;
  for (int i = 0; i < 100; i++) {
    see("API.example.com", "192.0.2.1:443");
    see("", "192.0.2.9:443", EgressProtocol::tcp);
  }
  EXPECT_EQ(test::allocations, before);
  see("other.example.com", "192.0.2.1:443");
  EXPECT_GT(test::allocations, before) << "what is counted";
}

TEST_F(EgressLearned, IsBoundedAndCountsTheRest) {
  for (std::size_t i = 0; i < limits::learned_destinations + 5; i++)
    see("host-" + std::to_string(i) + ".example.com", "192.0.2.1:443");
  see("host-0.example.com", "192.0.2.1:443");
  EXPECT_EQ(table_.report().destinations.size(), limits::learned_destinations);
  EXPECT_EQ(table_.report().beyond, 5U);
  EXPECT_EQ(table_.report().destinations.front().passed, 2U);
}

TEST_F(EgressLearned, AsksForProcessesLessAndLessOften) {
  for (int i = 0; i < 20; i++) see("api.example.com", "192.0.2.1:443");
  EXPECT_EQ(asked_.size(), 5U) << "the 1st, 2nd, 4th, 8th and 16th";
  table_.owned_by(0, "curl");
  table_.owned_by(0, "java");
  table_.owned_by(0, "curl");
  EXPECT_EQ(table_.report().destinations[0].processes, (Lines{"curl", "java"}));
}

TEST_F(EgressLearned, ADnsAnswerNamesWhatHasNoName) {
  table_.give_name(*IpAddress::parse("192.0.2.1"), "Db.Example.com");
  table_.give_name(*IpAddress::parse("192.0.2.2"), "db.example.com");
  table_.give_name(*IpAddress::parse("192.0.2.3"), "no\nname");
  see("", "192.0.2.1:5432", EgressProtocol::tcp);
  see("", "192.0.2.2:5432", EgressProtocol::tcp);
  see("", "192.0.2.3:5432", EgressProtocol::tcp);
  see("192.0.2.1", "192.0.2.1:80", EgressProtocol::http);
  see("", "192.0.2.1:443");
  see("said.example.com", "192.0.2.1:443");
  EXPECT_EQ(learned(), (Lines{" 192.0.2.1 80 HTTP 1/0", " 192.0.2.1 443 TLS 1/0",
                              " 192.0.2.3 5432 TCP 1/0", "db.example.com 192.0.2.1 5432 TCP 2/0",
                              "said.example.com 192.0.2.1 443 TLS 1/0"}));
}

TEST_F(EgressLearned, WorkersBecomeOne) {
  see("api.example.com", "192.0.2.1:443");
  table_.owned_by(0, "curl");
  EgressTable other([](auto...) {}, 50);
  other.record({"api.example.com", {}, at("192.0.2.9:443"), EgressProtocol::tls, true}, 700);
  other.owned_by(0, "java");
  const auto all = merged({table_.report(), other.report()});
  ASSERT_EQ(all.destinations.size(), 1U);
  const auto& one = all.destinations.front();
  EXPECT_EQ(text_of(one), "api.example.com 192.0.2.1 443 TLS 1/1");
  EXPECT_EQ(one.first_us, 101);
  EXPECT_EQ(one.last_us, 700);
  EXPECT_EQ(one.processes, (Lines{"curl", "java"}));
  EXPECT_EQ(all.since_us, 50);
}

}  // namespace
}  // namespace sallyport::observe
