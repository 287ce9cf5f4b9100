#include "dns/message.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"
#include "tests/support/dns_server.h"

namespace sallyport::dns {
namespace {

namespace wire = test::dns;

wire::Question question(uint16_t type = wire::type_a) { return {7, "a.test", type, false}; }

Result<Records> read(const std::string& message, Family family = Family::v4) {
  return read_addresses({reinterpret_cast<const unsigned char*>(message.data()), message.size()},
                        "a.test", family);
}

std::vector<std::string> texts(const Records& records) {
  std::vector<std::string> out;
  for (const auto& ip : records.addresses) out.push_back(ip.text());
  return out;
}

using Texts = std::vector<std::string>;

TEST(DnsMessage, GivesEveryAddressInOrderWithTheSmallestTtl) {
  const auto got = read(wire::reply(question(), {wire::address("a.test", "10.0.0.2", 60),
                                                 wire::address("a.test", "10.0.0.1", 30)}));
  ASSERT_TRUE(got);
  EXPECT_EQ(texts(*got), (Texts{"10.0.0.2", "10.0.0.1"}));
  EXPECT_EQ(got->ttl.count(), 30);
}

TEST(DnsMessage, ReadsIpv6) {
  const auto got =
      read(wire::reply(question(wire::type_aaaa), {wire::address("A.Test", "2001:db8::5", 9)}),
           Family::v6);
  ASSERT_TRUE(got);
  EXPECT_EQ(texts(*got), Texts{"2001:db8::5"});
}

TEST(DnsMessage, FollowsACnameChainAndTakesItsSmallestTtl) {
  const auto got = read(wire::reply(
      question(), {wire::alias("a.test", "b.test", 100), wire::alias("b.test", "c.test", 5),
                   wire::address("c.test", "10.0.0.3", 60)}));
  ASSERT_TRUE(got);
  EXPECT_EQ(texts(*got), Texts{"10.0.0.3"});
  EXPECT_EQ(got->ttl.count(), 5);
}

TEST(DnsMessage, ACnameWithoutAddressIsNoData) {
  const auto got = read(wire::reply(question(), {wire::alias("a.test", "b.test", 100)}));
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->addresses.empty());
}

TEST(DnsMessage, AddressesOfOtherNamesDoNotCount) {
  const auto mixed = read(wire::reply(question(), {wire::address("evil.test", "6.6.6.6", 60),
                                                   wire::address("a.test", "10.0.0.1", 60)}));
  ASSERT_TRUE(mixed);
  EXPECT_EQ(texts(*mixed), Texts{"10.0.0.1"});
  const auto foreign = read(wire::reply(question(), {wire::address("evil.test", "6.6.6.6", 60)}));
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().fault, Fault::protocol);
}

TEST(DnsMessage, TheUnspecifiedAddressIsNoAddress) {
  const auto got = read(wire::reply(question(), {wire::address("a.test", "0.0.0.0", 60)}));
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->addresses.empty());
}

TEST(DnsMessage, RepetitionsAreDropped) {
  const auto got = read(wire::reply(question(), {wire::address("a.test", "10.0.0.1", 60),
                                                 wire::address("a.test", "10.0.0.1", 60)}));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->addresses.size(), 1u);
}

TEST(DnsMessage, TooManyAddressesAreCutAtTheLimit) {
  std::vector<wire::Record> records;
  for (int i = 0; i < 1000; ++i) {
    records.push_back(wire::address(
        "a.test", "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250), 60));
  }
  const auto got = read(wire::reply(question(), records));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->addresses.size(), limits::dns_addresses);
}

TEST(DnsMessage, ATtlWithTheHighBitIsZero) {
  const auto got = read(wire::reply(question(), {wire::address("a.test", "10.0.0.1", 0x80000001)}));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->ttl.count(), 0);
}

TEST(DnsMessage, RefusesAliasesInACircle) {
  const auto got = read(wire::reply(
      question(), {wire::alias("a.test", "b.test", 1), wire::alias("b.test", "a.test", 1)}));
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().context.find("circle"), std::string::npos);
}

TEST(DnsMessage, RefusesAnotherQuestion) {
  EXPECT_FALSE(read(
      wire::reply({7, "b.test", wire::type_a, false}, {wire::address("a.test", "10.0.0.1", 60)})));
}

TEST(DnsMessage, RefusesACompressionPointerToItself) {
  std::string message = wire::reply(question(), {wire::address("a.test", "10.0.0.1", 60)});
  const std::size_t owner = 12 + wire::wire_name("a.test").size() + 4;
  const std::string loop = {static_cast<char>(0xc0), static_cast<char>(owner)};
  message.replace(owner, wire::wire_name("a.test").size(), loop);
  EXPECT_FALSE(read(message));
}

TEST(DnsMessage, AnAddressOfTheWrongLengthIsRefused) {
  EXPECT_FALSE(read(wire::reply(question(), {{"a.test", wire::type_a, 60, "abc"}})));
}

TEST(DnsMessage, CutShortAnywhereItIsRefusedAndNeverReadPastItsEnd) {
  const std::string whole = wire::reply(
      question(), {wire::alias("a.test", "b.test", 100), wire::address("b.test", "10.0.0.3", 60)});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<unsigned char> exact(whole.begin(), whole.begin() + ssize_t(size));
    EXPECT_FALSE(read_addresses(exact, "a.test", Family::v4)) << size;
  }
}

std::string with_soa(std::string message, uint32_t ttl, uint32_t minimum) {
  message[9] = 1;  // one record of authority
  const std::string data = wire::wire_name("ns.test") + wire::wire_name("admin.test") +
                           wire::u32(1) + wire::u32(2) + wire::u32(3) + wire::u32(4) +
                           wire::u32(minimum);
  return message + wire::wire({"test", 6, ttl, data});
}
std::optional<std::chrono::seconds> denial(const std::string& message) {
  return denial_ttl({reinterpret_cast<const unsigned char*>(message.data()), message.size()});
}

TEST(DnsMessage, ADenialHoldsForTheSmallerOfItsSoasTtlAndMinimum) {
  const auto no_name = wire::reply(question(), {}, wire::no_such_name);
  EXPECT_EQ(denial(with_soa(no_name, 60, 30)), std::chrono::seconds(30));
  EXPECT_EQ(denial(with_soa(no_name, 20, 30)), std::chrono::seconds(20));
  const auto behind_an_alias = wire::reply(question(), {wire::alias("a.test", "b.test", 60)});
  EXPECT_EQ(denial(with_soa(behind_an_alias, 60, 7)), std::chrono::seconds(7));
  EXPECT_EQ(denial(no_name), std::nullopt);
}

TEST(DnsMessage, ADenialCutShortAnywhereSaysNothing) {
  const auto whole =
      with_soa(wire::reply(question(), {wire::alias("a.test", "b.test", 60)}), 60, 30);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(denial(whole.substr(0, size)), std::nullopt) << size;
  }
}

}  // namespace
}  // namespace sallyport::dns
