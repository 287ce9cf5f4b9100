// --native-nftables: Istio's native rules, and their life cycle.
#include <atomic>
#include <thread>

#include "iptables/nft_plan.h"
#include "iptables/nft_rule.h"
#include "tests/unit/rules/capture_fixture.h"

namespace sallyport::rules {
namespace {

// What Istio's own test data has for them (tools/istio-nftables), the quotes aside.
TEST(NftRule, SaysWhatIptablesSays) {
  struct Case {
    const char *iptables, *nft;
  };
  const Case cases[] = {
      {"-p tcp -m tcp --dport 15008 -j RETURN", "meta l4proto tcp tcp dport 15008 counter return"},
      {"-p tcp -j REDIRECT --to-ports 15001", "meta l4proto tcp counter redirect to :15001"},
      {"-j ISTIO_OUTPUT", "counter jump istio-output"},
      {"-s 127.0.0.6/32 -o lo -j RETURN", "oifname \"lo\" ip saddr 127.0.0.6/32 counter return"},
      {"-s ::6/128 -o lo -j RETURN", "oifname \"lo\" ip6 saddr ::6/128 counter return"},
      {"! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j "
       "ISTIO_IN_REDIRECT",
       "oifname \"lo\" meta l4proto tcp ip daddr != 127.0.0.1/32 tcp dport != 15008 skuid 1337 "
       "counter jump istio-in-redirect"},
      {"! -d 127.0.0.1/32 -o lo -p tcp -m multiport ! --dports 53,15008 -m owner --uid-owner 3 -j "
       "ISTIO_IN_REDIRECT",
       "oifname \"lo\" meta l4proto tcp ip daddr != 127.0.0.1/32 tcp dport != { 53, 15008 } skuid "
       "3 counter jump istio-in-redirect"},
      {"-o lo -m owner ! --gid-owner 1337 -j RETURN",
       "oifname \"lo\" skgid != 1337 counter return"},
      {"-m owner ! --gid-owner 5 -m owner ! --gid-owner 202 -j RETURN",
       "skgid != 5 skgid != 202 counter return"},
      {"-d 10.0.0.0/8 -i eth1 -j ISTIO_REDIRECT",
       "iifname \"eth1\" ip daddr 10.0.0.0/8 counter jump istio-redirect"},
      {"-i eth+ -m comment --comment sallyport -j RETURN", "iifname \"eth*\" counter return"},
      {"-p udp -m udp --dport 53 -m owner --uid-owner 3 -j CT --zone 1",
       "meta l4proto udp udp dport 53 skuid 3 counter ct zone set 1"},
      {"-p udp -m udp --sport 53 -j CT --zone 1",
       "meta l4proto udp udp sport 53 counter ct zone set 1"},
      {"-m conntrack --ctstate INVALID -j ISTIO_DROP", "ct state invalid counter jump istio-drop"},
      {"-p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT",
       "meta l4proto tcp ct state related,established counter jump istio-divert"},
      {"! -d 127.0.0.1/32 -p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark "
       "0x539/0xffffffff",
       "meta l4proto tcp ip daddr != 127.0.0.1/32 tproxy ip to :15006 meta mark set 0x539 counter "
       "accept"},
      {"! -d ::1/128 -p tcp -j TPROXY --on-port 15006 --on-ip :: --tproxy-mark 0x539/0xffffffff",
       "meta l4proto tcp ip6 daddr != ::1/128 tproxy ip6 to :15006 meta mark set 0x539 counter "
       "accept"},
      {"-j MARK --set-xmark 0x539/0xffffffff", "counter meta mark set 0x539"},
      {"-p tcp -m mark --mark 0x539 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask "
       "0xffffffff",
       "meta l4proto tcp meta mark 0x539 counter ct mark set mark"},
      {"-p tcp -m connmark --mark 0x539 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask "
       "0xffffffff",
       "meta l4proto tcp ct mark 0x539 counter meta mark set ct mark"},
      {"-i lo -p tcp -m mark ! --mark 0x53a -j RETURN",
       "iifname \"lo\" meta l4proto tcp meta mark != 0x53a counter return"},
      {"-m connmark --mark 0x10000/0x30000 -j RETURN",
       "ct mark & 0x30000 == 0x10000 counter return"},
      {"-m mark --mark 0x10000/0x30000 -g ISTIO_UDP_VERDICT",
       "meta mark & 0x30000 == 0x10000 counter goto istio-udp-verdict"},
      {"-j CONNMARK --save-mark --nfmask 0x30000 --ctmask 0x30000",
       "counter ct mark set ct mark & 0xfffcffff | 0x10000"},
      {"-j MARK --set-xmark 0x0/0x30000", "counter meta mark set meta mark & 0xfffcffff"},
      {"-m conntrack --ctdir REPLY -j RETURN", "ct direction reply counter return"},
      {"-m mark --mark 0x20000/0x30000 -j REJECT --reject-with icmp-port-unreachable",
       "meta mark & 0x30000 == 0x20000 counter reject with icmp port-unreachable"},
      {"-j NFQUEUE --queue-num 15001 --queue-bypass", "counter queue num 15001 bypass"},
      {"-p tcp -m multiport --dports 15001,15053 -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j "
       "ISTIO_HOLD",
       "meta l4proto tcp tcp dport { 15001, 15053 } tcp flags & (fin|syn|rst|ack) == syn counter "
       "jump istio-hold"},
      {"-m socket --nowildcard -j RETURN", "socket transparent { 0, 1 } counter return"},
      {"-m time --datestop 1970-01-02T00:00:01 -j DROP", "meta time < 86401 counter drop"},
  };
  for (const auto& test : cases)
    EXPECT_EQ(nft_rule(test.iptables).value_or("no words"), test.nft) << test.iptables;
  EXPECT_FALSE(nft_rule("-m statistic --mode random -j RETURN"));
}

TEST(NativePlan, WhatBothFamiliesHaveStandsOnce) {
  Plan plan;
  plan.restore_v4 =
      "*nat\n:ISTIO_OUTPUT - [0:0]\n-A ISTIO_OUTPUT -o lo -j RETURN\n"
      "-A ISTIO_OUTPUT -d 10.0.0.0/8 -j RETURN\n-A ISTIO_OUTPUT -j ISTIO_REDIRECT\n"
      "-A ISTIO_OUTPUT -p udp -j RETURN\nCOMMIT\n";
  plan.restore_v6 =
      "*nat\n:ISTIO_OUTPUT - [0:0]\n-A ISTIO_OUTPUT -o lo -j RETURN\n"
      "-A ISTIO_OUTPUT -d fd00::/8 -j RETURN\n-A ISTIO_OUTPUT -j ISTIO_REDIRECT\n"
      "COMMIT\n";
  const auto both = native_plan(plan, true);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->at("istio-proxy-nat").at("istio-output"),
            (std::vector<std::string>{
                "oifname \"lo\" counter return", "ip daddr 10.0.0.0/8 counter return",
                "ip6 daddr fd00::/8 counter return", "counter jump istio-redirect",
                "meta nfproto ipv4 meta l4proto udp counter return"}));
  const auto four = native_plan(plan, false);
  ASSERT_TRUE(four);
  EXPECT_EQ(four->at("istio-proxy-nat").at("istio-output").size(), 4U);
}

class Native : public InNamespace {
protected:
  void SetUp() override {
    InNamespace::SetUp();
    add_addresses();
    options_.native = true;
  }
  static std::string nft_rules() { return run("nft -s list ruleset"); }
  void must_apply() {
    const auto applied = apply(options_);
    ASSERT_TRUE(applied) << applied.error().context;
  }
  Options options_ = capture_all();
};

TEST_F(Native, ASecondRunChangesNothing) {
  const auto first = apply(options_, OnDrift::refuse);
  ASSERT_TRUE(first) << first.error().context;
  EXPECT_TRUE(first->changed);
  EXPECT_NE(first->report.find("nftables: "), std::string::npos) << first->report;
  const auto before = run("nft list ruleset");
  const auto second = apply(options_, OnDrift::refuse);
  ASSERT_TRUE(second) << second.error().context;
  EXPECT_FALSE(second->changed) << second->report;
  EXPECT_EQ(run("nft list ruleset"), before) << "counters, too";
  EXPECT_TRUE(verify(options_));
}

TEST_F(Native, DriftIsToldAndMendedOnRequest) {
  must_apply();
  const auto right = nft_rules();
  run("nft insert rule inet istio-proxy-nat istio-output tcp dport 99 counter accept");
  const auto told = apply(options_, OnDrift::refuse);
  ASSERT_FALSE(told);
  EXPECT_NE(told.error().context.find("nftables: istio-proxy-nat istio-output: line 1 is \"tcp "
                                      "dport 99 counter accept\" instead of "),
            std::string::npos)
      << told.error().context;
  EXPECT_FALSE(verify(options_));
  must_apply();
  EXPECT_EQ(nft_rules(), right);
}

TEST_F(Native, EveryFlagHasItsRules) {
  options_.exclude_interfaces = {"net1", "veth+"};
  options_.guest_interfaces = {"virt0", "virt1"};
  options_.exclude_outbound_ports = {22, 23};
  options_.outbound_ports = {8443};
  options_.exclude_outbound_cidrs = parse_cidrs("10.1.0.0/16,2001:db8::/32", "").value();
  options_.drop_invalid = true;
  options_.dns = DnsCapture{.all = false, .servers = {*IpAddress::parse("10.96.0.10")}};
  options_.proxy_uids = {1337, 1338};
  for (uint32_t group = 2000; group < 2060; group++) options_.exclude_owner_groups.push_back(group);
  for (const auto mode : {Interception::redirect, Interception::tproxy}) {
    options_.interception = mode;
    must_apply();
    EXPECT_TRUE(verify(options_));
  }
  options_.outbound_cidrs = "10.0.0.0/8,fd00::/8";
  options_.inbound_ports = "80,443";
  must_apply();
  const auto verified = verify(options_);
  EXPECT_TRUE(verified) << verified.error().context;
}

TEST_F(Native, OthersTablesStay) {
  run("nft add table inet others; nft 'add chain inet others output { type filter hook output "
      "priority 5 ; }'; nft add rule inet others output counter; nft add table ip istio-proxy-nat");
  const auto before = nft_rules();
  must_apply();
  EXPECT_NE(nft_rules(), before);
  ASSERT_TRUE(remove());
  EXPECT_EQ(nft_rules(), before);
  EXPECT_EQ(*remove(), "there was nothing to remove\n");
}

// Between the listing of a draft and its removal.
TEST_F(Native, WhatARunThatWasEndedLeftGoesWithTheNextAndWithCleanUp) {
  const std::string left = "nft add table inet istio-proxy-nat-draft '{ flags dormant ; }'";
  run(left);
  must_apply();
  EXPECT_EQ(nft_rules().find("draft"), std::string::npos);
  ASSERT_TRUE(remove());
  run(left);
  ASSERT_TRUE(remove());
  EXPECT_EQ(nft_rules(), "");
}

TEST_F(Native, OneKindTakesThePlaceOfTheOther) {
  Options iptables = options_;
  iptables.native = false;
  ASSERT_TRUE(apply(iptables));
  const auto refused = apply(options_, OnDrift::refuse);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().context.find("there are redirect rules in iptables"),
            std::string::npos);
  must_apply();
  EXPECT_EQ(lines_of(all_rules(), "-A"), std::vector<std::string>{});
  EXPECT_TRUE(verify(options_));
  EXPECT_FALSE(verify(iptables));
  EXPECT_FALSE(apply(iptables, OnDrift::refuse));
  ASSERT_TRUE(apply(iptables));
  EXPECT_EQ(nft_rules().find("istio-proxy-"), std::string::npos);
  EXPECT_TRUE(verify(iptables));
}

TEST_F(Native, WithoutNftNothingIsTouchedAndThatIsSaid) {
  Options iptables = options_;
  iptables.native = false;
  ASSERT_TRUE(apply(iptables));
  const auto before = all_rules();
  only_path();
  const auto failed = apply(options_);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().context.find("no nft in PATH"), std::string::npos)
      << failed.error().context;
  give_path_back();
  EXPECT_EQ(all_rules(), before);
}

// The kernel may lack a part, here nft_queue.
TEST_F(Native, WhatTheKernelRefusesChangesNothing) {
  must_apply();
  const auto before = nft_rules();
  options_.udp = UdpQueue{};
  const auto applied = apply(options_);
  if (applied) GTEST_SKIP() << "this kernel has nft_queue";
  EXPECT_NE(applied.error().context.find("for --udp-policy nft_queue"), std::string::npos)
      << applied.error().context;
  EXPECT_EQ(nft_rules(), before);
}

class NativeChange : public Capture {};

// The one kind is there before the other goes.
TEST_P(NativeChange, NothingPassesUncapturedMeanwhile) {
  Options options = capture_all();
  ASSERT_TRUE(apply(options));
  std::atomic<bool> over{false};
  std::thread changing([&, here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)] {
    EXPECT_EQ(setns(here, CLONE_NEWNET), 0);
    for (int i = 0; i < 4; i++) {
      options.native = !options.native;
      EXPECT_TRUE(apply(options));
    }
    close(here);
    over = true;
  });
  int connections = 0;
  for (; !over; connections++) {
    EXPECT_EQ(connect(From::peer, local(8080)), "15006 for " + local(8080)) << connections;
    EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80)) << connections;
  }
  changing.join();
  EXPECT_GT(connections, 10);
}
INSTANTIATE_TEST_SUITE_P(Families, NativeChange,
                         testing::Values(Kind{true, By::nft}, Kind{false, By::nft}), name_of_kind);

}  // namespace
}  // namespace sallyport::rules
