// The plan beyond REDIRECT of TCP: TPROXY's mangle table, DNS capture with its conntrack zones,
// capture by group. Source of order and texts: istio-iptables (its golden files tproxy,
// dns-uid-gid, outbound-owner-groups), as iptables-save prints them.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "iptables/policy_route.h"
#include "iptables/rules.h"

namespace sallyport::rules {
namespace {

using Rules = std::vector<std::string>;

Options all() {
  Options options;
  options.inbound_ports = "*";
  options.outbound_cidrs = "*";
  return options;
}
Options tproxy() {
  Options options = all();
  options.interception = Interception::tproxy;
  return options;
}
Options dns(DnsCapture capture) {
  Options options = all();
  options.dns = std::move(capture);
  return options;
}
DnsCapture servers(std::initializer_list<const char*> list) {
  DnsCapture out;
  for (const auto* text : list) out.servers.push_back(*IpAddress::parse(text));
  return out;
}

std::string text_of(const Options& options, Family family = Family::v4) {
  const auto made = plan(options);
  EXPECT_TRUE(made) << made.error().context;
  return family == Family::v4 ? made->restore_v4 : made->restore_v6;
}

// The block of one table without its declarations; empty where there is none.
std::string table_of(const std::string& text, const std::string& name) {
  const auto at = text.find("*" + name + "\n");
  if (at == text.npos) return {};
  std::istringstream lines(text.substr(at, text.find("COMMIT", at) - at));
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("-A ")) out += line.substr(3) + "\n";
  }
  return out;
}

TEST(Tproxy, TakesWhatArrivesInMangleAndLeavesItsNatChainAlone) {
  Options options = tproxy();
  options.exclude_inbound_ports = {15090};
  options.exclude_interfaces = {"net1"};
  EXPECT_EQ(table_of(text_of(options), "mangle"),
            "PREROUTING -i net1 -m comment --comment sallyport -j RETURN\n"
            "OUTPUT -o net1 -m comment --comment sallyport -j RETURN\n"
            "PREROUTING -p tcp -j ISTIO_INBOUND\n"
            "PREROUTING -p tcp -m mark --mark 0x539 -m comment --comment sallyport -j CONNMARK "
            "--save-mark --nfmask 0xffffffff --ctmask 0xffffffff\n"
            "OUTPUT -o lo -p tcp -m mark --mark 0x539 -m comment --comment sallyport -j RETURN\n"
            "OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -m comment --comment "
            "sallyport -j MARK --set-xmark 0x53a/0xffffffff\n"
            "OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --gid-owner 1337 -m comment --comment "
            "sallyport -j MARK --set-xmark 0x53a/0xffffffff\n"
            "OUTPUT -p tcp -m connmark --mark 0x539 -m comment --comment sallyport -j CONNMARK "
            "--restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n"
            "ISTIO_DIVERT -j MARK --set-xmark 0x539/0xffffffff\n"
            "ISTIO_DIVERT -j ACCEPT\n"
            "ISTIO_TPROXY ! -d 127.0.0.1/32 -p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 "
            "--tproxy-mark 0x539/0xffffffff\n"
            "ISTIO_INBOUND -p tcp -m mark --mark 0x539 -j RETURN\n"
            "ISTIO_INBOUND -s 127.0.0.6/32 -i lo -p tcp -j RETURN\n"
            "ISTIO_INBOUND -i lo -p tcp -m mark ! --mark 0x53a -j RETURN\n"
            "ISTIO_INBOUND -p tcp -m tcp --dport 15090 -j RETURN\n"
            "ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT\n"
            "ISTIO_INBOUND -p tcp -j ISTIO_TPROXY\n");
  const auto nat = table_of(text_of(options), "nat");
  EXPECT_EQ(nat.find("PREROUTING -p tcp"), nat.npos) << nat;
  EXPECT_NE(nat.find("ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN\n"), nat.npos);
  EXPECT_EQ(nat.find("ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT"), nat.npos) << nat;
  EXPECT_NE(nat.find("--uid-owner 1337 -j ISTIO_IN_REDIRECT"), nat.npos)
      << "the proxy's calls to its own pod";
}

TEST(Tproxy, OfIpv6DiffersInItsAddresses) {
  const auto v6 = table_of(text_of(tproxy(), Family::v6), "mangle");
  for (const auto* part : {"--on-ip :: ", "ISTIO_INBOUND -s ::6/128 -i lo",
                           "ISTIO_TPROXY ! -d ::1/128", "OUTPUT ! -d ::1/128 -o lo"})
    EXPECT_NE(v6.find(part), v6.npos) << part << "\n" << v6;
}

TEST(Tproxy, OfAListTakesEachPortApart) {
  Options options = tproxy();
  options.inbound_ports = "8080,443";
  options.exclude_inbound_ports = {443};
  const auto mangle = table_of(text_of(options), "mangle");
  const std::string behind =
      "ISTIO_INBOUND -p tcp -m tcp --dport 8080 -m conntrack --ctstate RELATED,ESTABLISHED -j "
      "ISTIO_DIVERT\n"
      "ISTIO_INBOUND -p tcp -m tcp --dport 8080 -j ISTIO_TPROXY\n"
      "ISTIO_INBOUND -p tcp -m tcp --dport 443 -m conntrack --ctstate RELATED,ESTABLISHED -j "
      "ISTIO_DIVERT\n"
      "ISTIO_INBOUND -p tcp -m tcp --dport 443 -j ISTIO_TPROXY\n";
  EXPECT_TRUE(mangle.ends_with(behind)) << mangle;
}

TEST(Tproxy, WithNothingInboundOnlyMarksAreKept) {
  Options options = tproxy();
  options.inbound_ports = "";
  const auto mangle = table_of(text_of(options), "mangle");
  for (const auto* part :
       {"TPROXY --on-port", "PREROUTING -p tcp -j ISTIO_INBOUND", "ISTIO_DIVERT"})
    EXPECT_EQ(mangle.find(part), mangle.npos) << part << "\n" << mangle;
  EXPECT_NE(mangle.find("--save-mark"), mangle.npos);
}

TEST(Tproxy, TableMarkAndPortAreThoseOfTheFlags) {
  Options options = tproxy();
  options.tproxy_route_table = 9;
  options.tproxy_mark = 77;
  options.inbound_port = 16006;
  EXPECT_NE(table_of(text_of(options), "mangle").find("--on-port 16006 --on-ip 0.0.0.0"),
            std::string::npos);
  const auto mangle = table_of(text_of(options), "mangle");
  EXPECT_NE(mangle.find("--tproxy-mark 0x4d/0xffffffff"), mangle.npos) << mangle;
  EXPECT_EQ(mangle.find("0x539"), mangle.npos) << mangle;
  EXPECT_EQ(planned_routes(options), (PolicyRoutes{{{77, 9}}, {9}}));
  EXPECT_EQ(planned_routes(all()), PolicyRoutes{}) << "REDIRECT needs none";
}

// Istio's rules take it for inbound, since mangle comes before nat.
TEST(Tproxy, WhatGuestsSendStaysOutbound) {
  Options options = tproxy();
  options.guest_interfaces = {"virt0"};
  const auto mangle = table_of(text_of(options), "mangle");
  EXPECT_LT(mangle.find("PREROUTING -i virt0 -m comment --comment sallyport -j RETURN"),
            mangle.find("PREROUTING -p tcp -j ISTIO_INBOUND"))
      << mangle;
}

TEST(Tproxy, InvalidPacketsAreDroppedBeforeTheyAreTaken) {
  Options options = tproxy();
  options.drop_invalid = true;
  const auto mangle = table_of(text_of(options), "mangle");
  EXPECT_LT(mangle.find("PREROUTING -m conntrack --ctstate INVALID -j ISTIO_DROP"),
            mangle.find("PREROUTING -p tcp -j ISTIO_INBOUND"));
}

TEST(DnsCapture, OfThePodsServersIsRedirectedAndKeptApartInZones) {
  const auto text = text_of(dns(servers({"10.96.0.10", "fd00::a"})));
  EXPECT_EQ(
      table_of(text, "raw"),
      "OUTPUT -j ISTIO_OUTPUT_DNS\n"
      "ISTIO_OUTPUT_DNS -p udp -m udp --dport 53 -m owner --uid-owner 1337 -j CT --zone 1\n"
      "ISTIO_OUTPUT_DNS -p udp -m udp --sport 15053 -m owner --uid-owner 1337 -j CT --zone 2\n"
      "ISTIO_OUTPUT_DNS -p udp -m udp --dport 53 -m owner --gid-owner 1337 -j CT --zone 1\n"
      "ISTIO_OUTPUT_DNS -p udp -m udp --sport 15053 -m owner --gid-owner 1337 -j CT --zone 2\n"
      "ISTIO_OUTPUT_DNS -d 10.96.0.10/32 -p udp -m udp --dport 53 -j CT --zone 2\n"
      "PREROUTING -j ISTIO_INBOUND\n"
      "ISTIO_INBOUND -s 10.96.0.10/32 -p udp -m udp --sport 53 -j CT --zone 1\n");
  const auto nat = table_of(text, "nat");
  EXPECT_NE(nat.find("ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN\n"
                     "ISTIO_OUTPUT -j ISTIO_OUTPUT_DNS\n"
                     "ISTIO_OUTPUT_DNS -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j REDIRECT "
                     "--to-ports 15053\n"
                     "ISTIO_OUTPUT_DNS -d 10.96.0.10/32 -p udp -m udp --dport 53 -j REDIRECT "
                     "--to-ports 15053\n"
                     "ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN\n"),
            nat.npos)
      << nat;
  const auto v6 = text_of(dns(servers({"10.96.0.10", "fd00::a"})), Family::v6);
  EXPECT_NE(v6.find("-A ISTIO_OUTPUT_DNS -d fd00::a/128 -p udp"), v6.npos) << v6;
  EXPECT_EQ(v6.find("10.96.0.10"), v6.npos) << v6;
}

TEST(DnsCapture, OfAllIsOfEveryAddress) {
  const auto text = text_of(dns({.all = true, .servers = {}}), Family::v6);
  EXPECT_NE(text.find("-A ISTIO_OUTPUT_DNS -p tcp -m tcp --dport 53 -j REDIRECT --to-ports 15053"),
            text.npos)
      << text;
  EXPECT_NE(text.find("-A ISTIO_INBOUND -p udp -m udp --sport 53 -j CT --zone 1"), text.npos);
}

TEST(DnsCapture, WithoutAServerOfTheFamilyNothingOfItIsRedirected) {
  const auto text = text_of(dns(servers({"10.96.0.10"})), Family::v6);
  EXPECT_EQ(table_of(text, "nat").find("DNS"), std::string::npos) << text;
  EXPECT_EQ(table_of(text, "raw").find("PREROUTING"), std::string::npos) << text;
}

// The three rules of an owner: queries of the proxy don't enter the inbound side, and those of the
// application to a resolver on loopback go on to the DNS rules.
TEST(DnsCapture, ExemptsPort53FromTheRulesOfOwners) {
  const auto nat = table_of(text_of(dns(servers({"127.0.0.53"}))), "nat");
  for (const auto* rule :
       {"ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m multiport ! --dports 53,15008 -m owner "
        "--uid-owner 1337 -j ISTIO_IN_REDIRECT\n",
        "ISTIO_OUTPUT -o lo -p tcp -m tcp ! --dport 53 -m owner ! --uid-owner 1337 -j RETURN\n",
        "ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --gid-owner "
        "1337 -j ISTIO_IN_REDIRECT\n",
        "ISTIO_OUTPUT -o lo -p tcp -m tcp ! --dport 53 -m owner ! --gid-owner 1337 -j RETURN\n"})
    EXPECT_NE(nat.find(rule), nat.npos) << rule << nat;
}

TEST(OwnerGroups, OneRuleLetsThoseOfNoneOfThemGoBehindTheProxysOwn) {
  Options options = all();
  options.owner_groups = {5, 6};
  const auto nat = table_of(text_of(options), "nat");
  EXPECT_NE(nat.find("ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN\n"
                     "ISTIO_OUTPUT -m owner ! --gid-owner 5 -m owner ! --gid-owner 6 -j RETURN\n"
                     "ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN\n"),
            nat.npos)
      << nat;
}

TEST(OwnerGroups, ThoseExcludedGoOneByOne) {
  Options options = all();
  options.exclude_owner_groups = {5, 6};
  const auto nat = table_of(text_of(options), "nat");
  EXPECT_NE(nat.find("ISTIO_OUTPUT -m owner --gid-owner 5 -j RETURN\n"
                     "ISTIO_OUTPUT -m owner --gid-owner 6 -j RETURN\n"
                     "ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN\n"),
            nat.npos)
      << nat;
}

// iptables-restore takes 255 words a line, at which Istio's installer fails from 50 groups on.
TEST(OwnerGroups, ManyHaveARuleEachAndTheRestInAChainOfItsOwn) {
  Options options = all();
  for (uint32_t gid = 1; gid <= 64; gid++) options.owner_groups.push_back(gid);
  const auto nat = table_of(text_of(options), "nat");
  EXPECT_NE(nat.find("ISTIO_OUTPUT -m owner --gid-owner 64 -g ISTIO_OUTPUT_GROUPS\n"
                     "ISTIO_OUTPUT_GROUPS -d 127.0.0.1/32 -j RETURN\n"
                     "ISTIO_OUTPUT_GROUPS -j ISTIO_REDIRECT\n"),
            nat.npos)
      << nat;
  std::istringstream lines(text_of(options));
  for (std::string line; std::getline(lines, line);)
    EXPECT_LT(std::count(line.begin(), line.end(), ' '), 255) << line;
}

struct WrongCase {
  const char* name;
  std::function<void(Options&)> set;
  const char* told;
};
void PrintTo(const WrongCase& c, std::ostream* out) { *out << c.name; }

const WrongCase wrong_cases[] = {
    {"no mark", [](Options& o) { o.tproxy_mark = 0; },
     "--istio-inbound-tproxy-mark: 0 is the mark of all other packets"},
    {"the mark of what is sent", [](Options& o) { o.tproxy_mark = 1338; },
     "--istio-inbound-tproxy-mark: 1338 marks what the sidecar sends itself"},
    {"no table", [](Options& o) { o.tproxy_route_table = 0; },
     "--istio-inbound-tproxy-route-table: 0 "},
    {"the table main", [](Options& o) { o.tproxy_route_table = 254; },
     "--istio-inbound-tproxy-route-table: 254 "},
    {"65 groups", [](Options& o) { o.owner_groups.assign(65, 7); },
     "ISTIO_OUTBOUND_OWNER_GROUPS: 65 groups"},
    {"groups in both lists",
     [](Options& o) {
       o.owner_groups = {7};
       o.exclude_owner_groups = {8};
     },
     "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: "},
};
class WrongMode : public testing::TestWithParam<WrongCase> {};
TEST_P(WrongMode, IsRefusedByNameOfTheFlag) {
  Options options = tproxy();
  GetParam().set(options);
  const auto made = plan(options);
  ASSERT_FALSE(made);
  EXPECT_TRUE(made.error().context.starts_with(GetParam().told)) << made.error().context;
}
INSTANTIATE_TEST_SUITE_P(Spec, WrongMode, testing::ValuesIn(wrong_cases));

}  // namespace
}  // namespace sallyport::rules
