// The sandbox's DNS answers, byte for byte where it matters.
#include "deploy/sandbox/dns_answer.h"

#include <gtest/gtest.h>

namespace sallyport::sandbox {
namespace {

constexpr uint16_t a = 1, aaaa = 28;

std::vector<uint8_t> query(const std::string& name, uint16_t type) {
  std::vector<uint8_t> bytes = {0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0};
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    bytes.push_back(static_cast<uint8_t>(end - at));
    bytes.insert(bytes.end(), name.begin() + static_cast<std::ptrdiff_t>(at),
                 name.begin() + static_cast<std::ptrdiff_t>(end));
    at = end + 1;
  }
  bytes.push_back(0);
  bytes.insert(bytes.end(), {static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type), 0, 1});
  return bytes;
}

DnsZone zone() {
  DnsZone zone;
  zone["web.example"].addresses = {*IpAddress::parse("198.18.1.7"),
                                   *IpAddress::parse("2001:db8::7")};
  zone["*.wild.example"].addresses = {*IpAddress::parse("198.18.1.8")};
  zone["alias.example"].alias = "web.example";
  zone["broken.example"].behaviour = DnsName::Behaviour::server_fails;
  zone["mute.example"].behaviour = DnsName::Behaviour::silent;
  for (int i = 0; i < 60; ++i)
    zone["many.example"].addresses.push_back(IpAddress::v4(0xC6120000U + static_cast<uint32_t>(i)));
  return zone;
}

struct Case {
  const char* what;
  const char* name;
  uint16_t type;
  int code, answers;
};

class DnsAnswer : public testing::TestWithParam<Case> {};

TEST_P(DnsAnswer, HasCodeAndRecords) {
  const Case& c = GetParam();
  const auto answer = dns_answer(query(c.name, c.type), zone(), dns_udp_bytes);
  ASSERT_TRUE(answer) << c.what;
  EXPECT_EQ((*answer)[0], 0x12) << "the query's id";
  EXPECT_EQ((*answer)[2] & 0x80, 0x80) << "a response";
  EXPECT_EQ((*answer)[3] & 0x0f, c.code) << c.what;
  EXPECT_EQ((*answer)[7], c.answers) << c.what;
}

INSTANTIATE_TEST_SUITE_P(
    Spec, DnsAnswer,
    testing::Values(Case{"an IPv4 address", "web.example", a, 0, 1},
                    Case{"an IPv6 address", "web.example", aaaa, 0, 1},
                    Case{"names are told apart without case", "WEB.Example", a, 0, 1},
                    Case{"a known name without that type", "a.wild.example", aaaa, 0, 0},
                    Case{"a wildcard, any depth", "b.a.wild.example", a, 0, 1},
                    Case{"the wildcard's own parent is no match", "wild.example", a, 3, 0},
                    Case{"an alias and what it leads to", "alias.example", a, 0, 2},
                    Case{"an unknown name", "nowhere.example", a, 3, 0},
                    Case{"a name that fails", "broken.example", a, 2, 0}));

TEST(DnsAnswers, TheAddressStandsInTheRecord) {
  const auto answer = dns_answer(query("web.example", a), zone(), dns_udp_bytes);
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::vector<uint8_t>(answer->end() - 4, answer->end()),
            (std::vector<uint8_t>{198, 18, 1, 7}));
}

TEST(DnsAnswers, ASilentNameGetsNone) {
  EXPECT_FALSE(dns_answer(query("mute.example", a), zone(), dns_udp_bytes));
}

TEST(DnsAnswers, WhatDoesNotFitIsCutShortOverUdpAndWholeOverTcp) {
  const auto udp = dns_answer(query("many.example", a), zone(), dns_udp_bytes);
  EXPECT_EQ((*udp)[2] & 0x02, 0x02) << "TC";
  EXPECT_LE(udp->size(), dns_udp_bytes);
  const auto tcp = dns_answer(query("many.example", a), zone(), dns_tcp_bytes);
  EXPECT_EQ((*tcp)[2] & 0x02, 0);
  EXPECT_EQ((*tcp)[7], 60);
}

TEST(DnsAnswers, HostileBytesGetAnErrorOrNothing) {
  std::vector<uint8_t> whole = query("web.example", a);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto answer = dns_answer({whole.data(), size}, zone(), dns_udp_bytes);
    EXPECT_TRUE(!answer || ((*answer)[3] & 0x0f) == 1) << "format error at " << size;
  }
  whole[2] |= 0x80;
  EXPECT_FALSE(dns_answer(whole, zone(), dns_udp_bytes)) << "a response is never answered";
  whole = query("web.example", a);
  whole[12] = 0xc0;  // compression has no place in a question
  EXPECT_EQ((*dns_answer(whole, zone(), dns_udp_bytes))[3] & 0x0f, 1);
}

}  // namespace
}  // namespace sallyport::sandbox
