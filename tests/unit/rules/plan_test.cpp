// The plan as a table: what each flag adds to the rules, and where. Source of order and texts:
// istio-iptables, REDIRECT mode.
#include <gtest/gtest.h>

#include <functional>

#include "iptables/rules.h"

namespace sallyport::rules {
namespace {

Options all() {
  Options options;
  options.inbound_ports = "*";
  options.outbound_cidrs = "*";
  return options;
}

std::vector<Cidr> cidrs(const std::string& list) { return parse_cidrs(list, "test").value(); }

// The rules of one chain of the nat table, without "-A CHAIN ".
std::vector<std::string> rules_of(const std::string& restore, const std::string& chain) {
  std::vector<std::string> out;
  std::istringstream lines(restore.substr(restore.find("*nat")));
  const std::string start = "-A " + chain + " ";
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(start)) out.push_back(line.substr(start.size()));
  }
  return out;
}

using Rules = std::vector<std::string>;

TEST(Plan, OfAnUsualPodIsTheTextThatIptablesSavePrints) {
  Options options = all();
  options.exclude_inbound_ports = {15090, 15021, 15020};
  EXPECT_EQ(plan(options)->restore_v4,
            R"(*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 )"
            R"(-m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 )"
            R"(-m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
COMMIT
)");
}

TEST(Plan, OfIpv6DiffersInItsLoopbackAddressesOnly) {
  Options options = all();
  options.exclude_inbound_ports = {15090};
  auto made = plan(options);
  ASSERT_TRUE(made);
  std::string text = made->restore_v4;
  for (const auto& [v4, v6] : {std::pair{"127.0.0.6/32", "::6/128"}, {"127.0.0.1/32", "::1/128"}}) {
    for (auto at = text.find(v4); at != text.npos; at = text.find(v4)) {
      text.replace(at, std::string_view(v4).size(), v6);
    }
  }
  EXPECT_EQ(made->restore_v6, text);
}

struct FlagCase {
  const char* name;
  std::function<void(Options&)> set;
  const char* chain;
  Rules expected_v4, expected_v6;
};

const Rules inbound_all = {"-p tcp -m tcp --dport 15008 -j RETURN", "-p tcp -j ISTIO_IN_REDIRECT"};

// Of ISTIO_OUTPUT only the rules behind the owners' are listed, as far as the row is not about
// owners.
const FlagCase flag_cases[] = {
    {"-p: where outbound connections go",
     [](Options& o) { o.outbound_port = 16001; },
     "ISTIO_REDIRECT",
     {"-p tcp -j REDIRECT --to-ports 16001"},
     {"-p tcp -j REDIRECT --to-ports 16001"}},
    {"-z: where inbound connections go",
     [](Options& o) { o.inbound_port = 16006; },
     "ISTIO_IN_REDIRECT",
     {"-p tcp -j REDIRECT --to-ports 16006"},
     {"-p tcp -j REDIRECT --to-ports 16006"}},
    {"-e: the tunnel's port is not captured",
     [](Options& o) { o.tunnel_port = 16008; },
     "ISTIO_INBOUND",
     {"-p tcp -m tcp --dport 16008 -j RETURN", "-p tcp -j ISTIO_IN_REDIRECT"},
     {"-p tcp -m tcp --dport 16008 -j RETURN", "-p tcp -j ISTIO_IN_REDIRECT"}},
    {"-b '': nothing arriving is captured",
     [](Options& o) { o.inbound_ports = ""; },
     "PREROUTING",
     {},
     {}},
    {"-b '*': everything arriving is", [](Options&) {}, "ISTIO_INBOUND", inbound_all, inbound_all},
    {"-b list: these ports only, and -d does not count",
     [](Options& o) {
       o.inbound_ports = "8080,,443";
       o.exclude_inbound_ports = {443};
     },
     "ISTIO_INBOUND",
     {"-p tcp -m tcp --dport 15008 -j RETURN", "-p tcp -m tcp --dport 8080 -j ISTIO_IN_REDIRECT",
      "-p tcp -m tcp --dport 443 -j ISTIO_IN_REDIRECT"},
     {"-p tcp -m tcp --dport 15008 -j RETURN", "-p tcp -m tcp --dport 8080 -j ISTIO_IN_REDIRECT",
      "-p tcp -m tcp --dport 443 -j ISTIO_IN_REDIRECT"}},
    {"-c: neither what arrives there",
     [](Options& o) {
       o.exclude_interfaces = {"net1", "tap+"};
     },
     "PREROUTING",
     {"-i net1 -m comment --comment sallyport -j RETURN",
      "-i tap+ -m comment --comment sallyport -j RETURN", "-p tcp -j ISTIO_INBOUND"},
     {"-i net1 -m comment --comment sallyport -j RETURN",
      "-i tap+ -m comment --comment sallyport -j RETURN", "-p tcp -j ISTIO_INBOUND"}},
    {"-c: nor what leaves there",
     [](Options& o) { o.exclude_interfaces = {"net1"}; },
     "OUTPUT",
     {"-o net1 -m comment --comment sallyport -j RETURN", "-j ISTIO_OUTPUT"},
     {"-o net1 -m comment --comment sallyport -j RETURN", "-j ISTIO_OUTPUT"}},
    {"-k: what a guest sends is outbound, and never inbound",
     [](Options& o) { o.guest_interfaces = {"virt0"}; },
     "PREROUTING",
     {"-i virt0 -j ISTIO_REDIRECT", "-i virt0 -m comment --comment sallyport -j RETURN",
      "-p tcp -j ISTIO_INBOUND"},
     {"-i virt0 -j ISTIO_REDIRECT", "-i virt0 -m comment --comment sallyport -j RETURN",
      "-p tcp -j ISTIO_INBOUND"}},
    {"-k with a list in -i: within these CIDRs, each in its family",
     [](Options& o) {
       o.guest_interfaces = {"virt0", "virt1"};
       o.outbound_cidrs = "10.0.0.0/8,172.16.0.0/12,fd00::/8";
     },
     "PREROUTING",
     {"-d 172.16.0.0/12 -i virt1 -j ISTIO_REDIRECT", "-d 172.16.0.0/12 -i virt0 -j ISTIO_REDIRECT",
      "-d 10.0.0.0/8 -i virt1 -j ISTIO_REDIRECT", "-d 10.0.0.0/8 -i virt0 -j ISTIO_REDIRECT",
      "-i virt1 -m comment --comment sallyport -j RETURN",
      "-i virt0 -m comment --comment sallyport -j RETURN", "-p tcp -j ISTIO_INBOUND"},
     {"-d fd00::/8 -i virt1 -j ISTIO_REDIRECT", "-d fd00::/8 -i virt0 -j ISTIO_REDIRECT",
      "-i virt1 -m comment --comment sallyport -j RETURN",
      "-i virt0 -m comment --comment sallyport -j RETURN", "-p tcp -j ISTIO_INBOUND"}},
};

class PlanOfFlag : public testing::TestWithParam<FlagCase> {};
TEST_P(PlanOfFlag, HasTheseRules) {
  const FlagCase& c = GetParam();
  Options options = all();
  c.set(options);
  const auto made = plan(options);
  ASSERT_TRUE(made) << c.name << ": " << made.error().context;
  EXPECT_EQ(rules_of(made->restore_v4, c.chain), c.expected_v4) << c.name;
  EXPECT_EQ(rules_of(made->restore_v6, c.chain), c.expected_v6) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, PlanOfFlag, testing::ValuesIn(flag_cases));

// ISTIO_OUTPUT around the owners' six rules: what comes before them, and what behind.
struct OutputCase {
  const char* name;
  std::function<void(Options&)> set;
  Rules before, behind_v4, behind_v6;
};

const OutputCase output_cases[] = {
    {"-i '': nothing is captured", [](Options& o) { o.outbound_cidrs = ""; }, {}, {}, {}},
    {"-i '*': everything is", [](Options&) {}, {}, {"-j ISTIO_REDIRECT"}, {"-j ISTIO_REDIRECT"}},
    {"-i list: each CIDR in its family",
     [](Options& o) { o.outbound_cidrs = "10.0.0.0/8,fd00::/8,192.168.1.7/32"; },
     {},
     {"-d 10.0.0.0/8 -j ISTIO_REDIRECT", "-d 192.168.1.7/32 -j ISTIO_REDIRECT"},
     {"-d fd00::/8 -j ISTIO_REDIRECT"}},
    {"-i 0.0.0.0/0: no match at all, as iptables prints it",
     [](Options& o) { o.outbound_cidrs = "0.0.0.0/0"; },
     {},
     {"-j ISTIO_REDIRECT"},
     {}},
    {"-i with host bits: the network",
     [](Options& o) { o.outbound_cidrs = "10.1.2.3/8"; },
     {},
     {"-d 10.0.0.0/8 -j ISTIO_REDIRECT"},
     {}},
    {"-x: before what is captured, each in its family",
     [](Options& o) { o.exclude_outbound_cidrs = cidrs("10.9.0.0/16,2001:db8::/32"); },
     {},
     {"-d 10.9.0.0/16 -j RETURN", "-j ISTIO_REDIRECT"},
     {"-d 2001:db8::/32 -j RETURN", "-j ISTIO_REDIRECT"}},
    {"-q: these ports although -i names nothing, but not over -x",
     [](Options& o) {
       o.outbound_cidrs = "";
       o.outbound_ports = {80, 443};
       o.exclude_outbound_cidrs = cidrs("10.9.0.0/16");
     },
     {},
     {"-d 10.9.0.0/16 -j RETURN", "-p tcp -m tcp --dport 80 -j ISTIO_REDIRECT",
      "-p tcp -m tcp --dport 443 -j ISTIO_REDIRECT"},
     {"-p tcp -m tcp --dport 80 -j ISTIO_REDIRECT", "-p tcp -m tcp --dport 443 -j ISTIO_REDIRECT"}},
    {"-o: first of all, TCP and UDP",
     [](Options& o) {
       o.exclude_outbound_ports = {22, 53};
     },
     {"-p tcp -m tcp --dport 22 -j RETURN", "-p udp -m udp --dport 22 -j RETURN",
      "-p tcp -m tcp --dport 53 -j RETURN", "-p udp -m udp --dport 53 -j RETURN"},
     {"-j ISTIO_REDIRECT"},
     {"-j ISTIO_REDIRECT"}},
};

class PlanOfOutput : public testing::TestWithParam<OutputCase> {};
TEST_P(PlanOfOutput, HasTheseRulesAroundTheOwners) {
  const OutputCase& c = GetParam();
  Options options = all();
  c.set(options);
  const auto made = plan(options);
  ASSERT_TRUE(made) << c.name << ": " << made.error().context;
  const auto expected = [&](const std::string& loopback, const std::string& source,
                            const Rules& behind) {
    Rules rules = c.before;
    rules.push_back("-s " + source + " -o lo -j RETURN");
    for (const std::string owner : {"--uid-owner 1337", "--gid-owner 1337"}) {
      rules.push_back("! -d " + loopback + " -o lo -p tcp -m tcp ! --dport 15008 -m owner " +
                      owner + " -j ISTIO_IN_REDIRECT");
      rules.push_back("-o lo -m owner ! " + owner + " -j RETURN");
      rules.push_back("-m owner " + owner + " -j RETURN");
    }
    rules.push_back("-d " + loopback + " -j RETURN");
    rules.insert(rules.end(), behind.begin(), behind.end());
    return rules;
  };
  EXPECT_EQ(rules_of(made->restore_v4, "ISTIO_OUTPUT"),
            expected("127.0.0.1/32", "127.0.0.6/32", c.behind_v4))
      << c.name;
  EXPECT_EQ(rules_of(made->restore_v6, "ISTIO_OUTPUT"), expected("::1/128", "::6/128", c.behind_v6))
      << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, PlanOfOutput, testing::ValuesIn(output_cases));

TEST(Plan, EveryUidAndThenEveryGidHasItsThreeRules) {
  Options options = all();
  options.proxy_uids = {1, 2};
  options.proxy_gids = {3};
  const auto rules = rules_of(plan(options)->restore_v4, "ISTIO_OUTPUT");
  Rules owners;
  for (const auto& rule : rules) {
    if (const auto at = rule.find("-owner "); at != rule.npos)
      owners.push_back(rule.substr(at - 3));
  }
  EXPECT_EQ(owners, (Rules{"uid-owner 1 -j ISTIO_IN_REDIRECT", "uid-owner 1 -j RETURN",
                           "uid-owner 1 -j RETURN", "uid-owner 2 -j ISTIO_IN_REDIRECT",
                           "uid-owner 2 -j RETURN", "uid-owner 2 -j RETURN",
                           "gid-owner 3 -j ISTIO_IN_REDIRECT", "gid-owner 3 -j RETURN",
                           "gid-owner 3 -j RETURN"}));
}

TEST(Plan, LoopbackInTheCidrsOfEitherFamilyLetsTheApplicationsOwnCallsBeCaptured) {
  for (const auto* list : {"127.0.0.0/8", "::1/128"}) {
    Options options = all();
    options.outbound_cidrs = list;
    const auto made = plan(options);
    for (const auto& text : {made->restore_v4, made->restore_v6}) {
      EXPECT_EQ(text.find("-o lo -m owner !"), text.npos) << list;
      EXPECT_NE(text.find("-m owner --uid-owner 1337 -j RETURN"), text.npos) << list;
    }
  }
}

TEST(Plan, AWiderLoopbackRangeCountsForIpv4Only) {
  Options options = all();
  options.loopback_v4 = Cidr::parse("127.0.0.0/8");
  const auto made = plan(options);
  EXPECT_NE(made->restore_v4.find("-A ISTIO_OUTPUT -d 127.0.0.0/8 -j RETURN\n"), std::string::npos);
  EXPECT_NE(made->restore_v4.find("! -d 127.0.0.0/8 -o lo"), std::string::npos);
  EXPECT_NE(made->restore_v6.find("-A ISTIO_OUTPUT -d ::1/128 -j RETURN\n"), std::string::npos);
}

TEST(Plan, DroppingInvalidPacketsIsATableBeforeNat) {
  Options options = all();
  options.drop_invalid = true;
  const std::string mangle =
      "*mangle\n:ISTIO_DROP - [0:0]\n-A PREROUTING -m conntrack --ctstate INVALID -j ISTIO_DROP\n"
      "-A ISTIO_DROP -j DROP\nCOMMIT\n*nat\n";
  const auto made = plan(options);
  EXPECT_TRUE(made->restore_v4.starts_with(mangle)) << made->restore_v4;
  EXPECT_TRUE(made->restore_v6.starts_with(mangle)) << made->restore_v6;
}

struct WrongCase {
  const char* name;
  std::function<void(Options&)> set;
  const char* flag;
  const char* reason;
};

const WrongCase wrong_cases[] = {
    {"port 0", [](Options& o) { o.outbound_port = 0; }, "--envoy-port", "0"},
    {"port 0", [](Options& o) { o.inbound_port = 0; }, "--inbound-capture-port", "0"},
    {"port 0", [](Options& o) { o.tunnel_port = 0; }, "--inbound-tunnel-port", "0"},
    {"both captures at one port", [](Options& o) { o.inbound_port = 15001; },
     "--inbound-capture-port", "15001"},
    {"a service name", [](Options& o) { o.inbound_ports = "80,http"; }, "--istio-inbound-ports",
     "\"http\""},
    {"a blank", [](Options& o) { o.inbound_ports = "80, 81"; }, "--istio-inbound-ports", "\" 81\""},
    {"a range", [](Options& o) { o.inbound_ports = "80:90"; }, "--istio-inbound-ports",
     "\"80:90\""},
    {"hexadecimal", [](Options& o) { o.inbound_ports = "0x50"; }, "--istio-inbound-ports",
     "\"0x50\""},
    {"too high", [](Options& o) { o.inbound_ports = "65536"; }, "--istio-inbound-ports",
     "\"65536\""},
    {"a star in a list", [](Options& o) { o.inbound_ports = "80,*"; }, "--istio-inbound-ports",
     "\"*\""},
    {"port 0 in a list", [](Options& o) { o.exclude_inbound_ports = {0}; },
     "--istio-local-exclude-ports", "0"},
    {"port 0 in a list", [](Options& o) { o.outbound_ports = {0}; }, "--istio-outbound-ports", "0"},
    {"port 0 in a list", [](Options& o) { o.exclude_outbound_ports = {0}; },
     "--istio-local-outbound-ports-exclude", "0"},
    {"no mask", [](Options& o) { o.outbound_cidrs = "10.0.0.1"; }, "--istio-service-cidr",
     "\"10.0.0.1\""},
    {"a star in a list", [](Options& o) { o.outbound_cidrs = "10.0.0.0/8,*"; },
     "--istio-service-cidr", "\"*\""},
    {"a mask too long", [](Options& o) { o.outbound_cidrs = "fd00::/129"; }, "--istio-service-cidr",
     "\"fd00::/129\""},
    {"no uid", [](Options& o) { o.proxy_uids = {}; }, "--proxy-uid", "at least one"},
    {"no gid", [](Options& o) { o.proxy_gids = {}; }, "--proxy-gid", "at least one"},
    {"a name of 16", [](Options& o) { o.exclude_interfaces = {"sixteen-letters-"}; },
     "--istio-exclude-interfaces", "\"sixteen-letters-\""},
    {"every interface", [](Options& o) { o.exclude_interfaces = {"+"}; },
     "--istio-exclude-interfaces", "\"+\""},
    {"a second word, which would be another flag of iptables",
     [](Options& o) { o.guest_interfaces = {"a -j ACCEPT"}; }, "--kube-virt-interfaces",
     "\"a -j ACCEPT\""},
    {"a new line, which would be another rule",
     [](Options& o) { o.exclude_interfaces = {"a\nCOMMIT"}; }, "--istio-exclude-interfaces",
     "interface name"},
    {"loopback elsewhere", [](Options& o) { o.loopback_v4 = Cidr::parse("10.0.0.0/8"); },
     "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8"},
    {"loopback wider than it is", [](Options& o) { o.loopback_v4 = Cidr::parse("127.0.0.0/7"); },
     "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "/7"},
};

class WrongOption : public testing::TestWithParam<WrongCase> {};
TEST_P(WrongOption, IsRefusedByNameOfTheFlag) {
  const WrongCase& c = GetParam();
  Options options = all();
  c.set(options);
  const auto made = plan(options);
  ASSERT_FALSE(made) << c.name;
  EXPECT_TRUE(made.error().context.starts_with(std::string(c.flag) + ":")) << made.error().context;
  EXPECT_NE(made.error().context.find(c.reason), std::string::npos) << made.error().context;
}
INSTANTIATE_TEST_SUITE_P(Spec, WrongOption, testing::ValuesIn(wrong_cases));

TEST(Lists, AreSplitAtCommasAndEmptyItemsDropped) {
  EXPECT_EQ(split_list(",a,,b,"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(split_list(""), std::vector<std::string>{});
  EXPECT_EQ(parse_ports("1,65535", "-d").value(), (std::vector<uint16_t>{1, 65535}));
  EXPECT_EQ(parse_ids("0,1337", "-u").value(), (std::vector<uint32_t>{0, 1337}));
}

TEST(Lists, OfIdsTakeNumbersOnly) {
  for (const auto* list : {"istio-proxy", "-1", "4294967295", "4294967296", "1 "}) {
    const auto ids = parse_ids(list, "--proxy-uid");
    ASSERT_FALSE(ids) << list;
    EXPECT_EQ(ids.error().context,
              "--proxy-uid: \"" + std::string(list) + "\" is not a numeric id");
  }
}

}  // namespace
}  // namespace sallyport::rules
