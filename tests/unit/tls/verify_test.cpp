// Which names a certificate speaks for: Envoy's dnsNameMatch, and exact URIs, addresses and e-mail
// addresses.
#include "tls/verify.h"

#include <gtest/gtest.h>

namespace sallyport::tls {
namespace {

struct DnsCase {
  const char* name;
  const char* pattern;
  bool matches;
};

constexpr DnsCase dns_cases[] = {
    {"a.example.com", "a.example.com", true},
    {"A.Example.COM", "a.example.com", true},
    {"a.example.com", "A.EXAMPLE.com", true},
    {"a.example.com", "b.example.com", false},
    {"a.example.com", "*.example.com", true},
    {"example.com", "*.example.com", false},
    {"b.a.example.com", "*.example.com", false},
    {"a.example.com", "*.*.com", false},
    {"a.example.com", "a.*.com", false},
    {"a.example.com", "*", false},
    {"localhost", "*", false},
    {"localhost", "localhost", true},
    {"api-7.example.com", "api-*.example.com", true},
    {"api-7.example.com", "*-7.example.com", true},
    {"api-7.example.com", "a*7.example.com", true},
    {"api-7.example.com", "web-*.example.com", false},
    {"aba.example.com", "ab*ba.example.com", false},
    {"api.example.com", "**.example.com", false},
    {"xn--bcher-kva.example.com", "xn--*.example.com", false},
    {"xn--bcher-kva.example.com", "*.example.com", true},
    {"10.0.0.1", "10.0.0.1", true},
    {"10.0.0.1", "*.0.0.1", false},
    {"", "*.example.com", false},
    {"a.example.com", "", false},
};

TEST(DnsName, MatchesAsInEnvoy) {
  for (const DnsCase& c : dns_cases)
    EXPECT_EQ(dns_name_matches(c.name, c.pattern), c.matches) << c.name << " by " << c.pattern;
}

TEST(DnsName, ANulInsideACertificateMatchesNothing) {
  EXPECT_FALSE(dns_name_matches("a.example.com", std::string_view("a.example.com\0.evil.com", 22)));
}

TEST(AnyName, MatchesEachKindOfSan) {
  certs::CertificateInfo info;
  info.subject = "CN=common.example.com";
  info.dns_names = {"*.example.com"};
  info.uris = {"spiffe://td/ns/a/sa/b"};
  info.ips = {"10.0.0.1", "2001:db8::1"};
  info.emails = {"ops@example.com"};
  const std::pair<const char*, bool> cases[] = {
      {"a.example.com", true},
      {"spiffe://td/ns/a/sa/b", true},
      {"spiffe://td/ns/a/sa/B", false},
      {"spiffe://td/ns/a/sa", false},
      {"10.0.0.1", true},
      {"10.0.0.2", false},
      {"2001:db8::1", true},
      {"2001:DB8:0:0::1", true},
      {"ops@example.com", true},
      {"OPS@example.com", false},
      {"common", false},
  };
  for (const auto& [name, matches] : cases)
    EXPECT_EQ(any_name_matches({name}, info), matches) << name;
  EXPECT_TRUE(any_name_matches({"other.org", "10.0.0.1"}, info)) << "one of several is enough";
  EXPECT_FALSE(any_name_matches({}, info));
}

TEST(AnyName, TheCommonNameNeverCounts) {
  certs::CertificateInfo info;
  info.subject = "CN=a.example.com";
  EXPECT_FALSE(any_name_matches({"a.example.com"}, info));
}

TEST(NameLists, AreCutForTheLog) {
  EXPECT_EQ(list_text(std::vector<std::string>(12, "a")),
            "[a, a, a, a, a, a, a, a, a, a and 2 more]");
}

}  // namespace
}  // namespace sallyport::tls
