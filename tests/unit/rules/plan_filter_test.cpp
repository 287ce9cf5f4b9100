// The filter table: connections that wait for the agent, and UDP that waits for a verdict. As
// iptables-save prints it.
#include <gtest/gtest.h>

#include "tests/support/iptables_namespace.h"

namespace sallyport::rules {
namespace {

using Rules = std::vector<std::string>;

// Of the filter table alone: those of one chain.
Rules filter(const Options& options, const std::string& chain, Family family = Family::v4) {
  const auto made = plan(options);
  EXPECT_TRUE(made) << made.error().context;
  const auto& text = family == Family::v4 ? made->restore_v4 : made->restore_v6;
  const auto at = text.find("*filter\n");
  if (at == text.npos) return {};
  const std::string table = text.substr(at, text.find("COMMIT", at) - at);
  Rules out;
  for (const auto& line : lines_of(table, "-A " + chain + " "))
    out.push_back(line.substr(4 + chain.size()));
  return out;
}

Options held() {
  Options options = capture_all();
  options.hold_until = std::chrono::sys_days(std::chrono::year(2026) / 11 / 23) +
                       std::chrono::hours(18) + std::chrono::seconds(5);
  return options;
}
Options policed(bool fail_open = false) {
  Options options = capture_all();
  options.udp = UdpQueue{.fail_open = fail_open, .dns_servers = {}};
  return options;
}

constexpr const char* syn_to_hold = "--tcp-flags FIN,SYN,RST,ACK SYN -j ISTIO_HOLD";

TEST(Filter, WithoutEitherThereIsNone) {
  EXPECT_EQ(plan(capture_all())->restore_v4.find("*filter"), std::string::npos);
}

TEST(Hold, DropsSynsToAPortWhereNobodyListensUntilThen) {
  for (const auto family : {Family::v4, Family::v6}) {
    EXPECT_EQ(filter(held(), "INPUT", family),
              (Rules{std::string("-p tcp -m tcp --dport 15001 ") + syn_to_hold}));
    EXPECT_EQ(filter(held(), "ISTIO_HOLD", family),
              (Rules{"-m socket --nowildcard -j RETURN",
                     "-m time --datestop 2026-11-23T18:00:05 -j DROP"}));
  }
}

TEST(Hold, QuestionsForTheDnsProxyWaitToo) {
  Options options = held();
  options.outbound_port = 16001;
  options.dns = DnsCapture{.all = true, .servers = {}};
  EXPECT_EQ(filter(options, "INPUT"),
            (Rules{std::string("-p tcp -m multiport --dports 16001,15053 -m tcp ") + syn_to_hold}));
}

TEST(Udp, OfAFlowWithAVerdictPassesTwoRules) {
  const auto rules = filter(policed(), "ISTIO_UDP");
  ASSERT_GE(rules.size(), 3u);
  EXPECT_EQ(filter(policed(), "OUTPUT"), (Rules{"-p udp -j ISTIO_UDP"}));
  EXPECT_EQ(rules[0], "-m connmark --mark 0x10000/0x30000 -j RETURN");
  EXPECT_EQ(rules[1],
            "-m connmark --mark 0x20000/0x30000 -j REJECT --reject-with icmp-port-unreachable");
  EXPECT_EQ(filter(policed(), "ISTIO_UDP_VERDICT"),
            (Rules{"-j CONNMARK --save-mark --nfmask 0x30000 --ctmask 0x30000",
                   "-j MARK --set-xmark 0x0/0x30000"}));
  EXPECT_EQ(filter(policed(), "ISTIO_UDP", Family::v6)[1],
            "-m connmark --mark 0x20000/0x30000 -j REJECT --reject-with icmp6-port-unreachable");
}

TEST(Udp, FailsClosedWithEnforceAndOpenWithLog) {
  EXPECT_EQ(filter(policed(), "ISTIO_UDP").back(), "-j NFQUEUE --queue-num 15001");
  const auto open = filter(policed(true), "ISTIO_UDP");
  EXPECT_EQ(open.back(), "-j NFQUEUE --queue-num 15001 --queue-bypass");
  for (const auto& rule : open) EXPECT_EQ(rule.find("REJECT"), std::string::npos) << rule;
}

TEST(Udp, WhatTcpIsExceptedByExceptsItToo) {
  Options options = policed();
  options.exclude_interfaces = {"net1"};
  options.exclude_outbound_ports = {123};
  options.exclude_outbound_cidrs = parse_cidrs("10.0.0.0/8,fd00::/8", "").value();
  options.exclude_owner_groups = {2000};
  options.udp->dns_servers = {*IpAddress::parse("10.96.0.10"), *IpAddress::parse("fd00::10")};
  EXPECT_EQ(
      filter(options, "ISTIO_UDP"),
      (Rules{"-m connmark --mark 0x10000/0x30000 -j RETURN",
             "-m connmark --mark 0x20000/0x30000 -j REJECT --reject-with "
             "icmp-port-unreachable",
             "-m mark --mark 0x10000/0x30000 -g ISTIO_UDP_VERDICT",
             "-m mark --mark 0x20000/0x30000 -j REJECT --reject-with "
             "icmp-port-unreachable",
             "-m conntrack --ctdir REPLY -j RETURN", "-o net1 -j RETURN",
             "-p udp -m udp --dport 123 -j RETURN", "-o lo -j RETURN",
             "-m owner --uid-owner 1337 -j RETURN", "-m owner --gid-owner 1337 -j RETURN",
             "-m owner --gid-owner 2000 -j RETURN",
             "-d 10.96.0.10/32 -p udp -m udp --dport 53 -j RETURN", "-d 127.0.0.1/32 -j RETURN",
             "-d 10.0.0.0/8 -j RETURN", "-j NFQUEUE --queue-num 15001"}));
  const auto v6 = filter(options, "ISTIO_UDP", Family::v6);
  EXPECT_EQ(Rules(v6.end() - 4, v6.end()),
            (Rules{"-d fd00::10/128 -p udp -m udp --dport 53 -j RETURN", "-d ::1/128 -j RETURN",
                   "-d fd00::/8 -j RETURN", "-j NFQUEUE --queue-num 15001"}));
}

TEST(Udp, WhatTcpIsCapturedByQueuesIt) {
  Options options = policed();
  options.outbound_cidrs = "203.0.113.0/24,127.0.0.0/8,2001:db8::/32";
  options.outbound_ports = {443};
  options.owner_groups = {7, 8};
  const auto rules = filter(options, "ISTIO_UDP");
  EXPECT_EQ(
      Rules(rules.end() - 5, rules.end()),
      (Rules{"-m owner ! --gid-owner 7 -m owner ! --gid-owner 8 -j RETURN",
             "-d 127.0.0.1/32 -j RETURN", "-p udp -m udp --dport 443 -j NFQUEUE --queue-num 15001",
             "-d 203.0.113.0/24 -j NFQUEUE --queue-num 15001",
             "-d 127.0.0.0/8 -j NFQUEUE --queue-num 15001"}));
  EXPECT_EQ(std::count(rules.begin(), rules.end(), "-o lo -j RETURN"), 0) << "loopback is wanted";
  options.owner_groups.assign(49, 7);
  const auto many = filter(options, "ISTIO_UDP_GROUPS");
  EXPECT_EQ(many.back(), "-d 127.0.0.0/8 -j NFQUEUE --queue-num 15001");
}

class FilterLife : public InNamespace {};

TEST_F(FilterLife, ASecondRunChangesNothingWhateverTheTime) {
  add_addresses();
  Options options = held();
  options.udp = UdpQueue{};
  for (const auto backend : {Backend::nft, Backend::legacy}) {
    options.backend = backend;
    ASSERT_TRUE(apply(options));
    const auto before = all_rules();
    Options later = options;
    *later.hold_until += std::chrono::minutes(3);
    const auto again = apply(later, OnDrift::refuse);
    ASSERT_TRUE(again) << again.error().context;
    EXPECT_FALSE(again->changed);
    EXPECT_EQ(all_rules(), before);
    EXPECT_TRUE(verify(later));
    later.hold_until.reset();
    EXPECT_FALSE(verify(later)) << "they are held";
    ASSERT_TRUE(remove());
    EXPECT_EQ(lines_of(all_rules(), "-A"), Rules());
  }
}

TEST_F(FilterLife, WhereTheKernelCannotHoldTheyAreRefusedAndThatIsTold) {
  link_real("iptables-nft");
  write_program("iptables-nft-restore",
                "input=$(cat); case \"$input\" in *'-m socket'*) echo 'iptables-restore v1.8.9: "
                "RULE_APPEND failed (No such file or directory)' >&2; exit 1;; esac; "
                "printf '%s\\n' \"$input\" | /usr/sbin/iptables-nft-restore \"$@\"");
  run("/sbin/sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
  const auto applied = apply(held());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_NE(applied->report.find("IPv4: connections are refused, not held, until the sidecar "
                                 "listens (/tmp/"),
            std::string::npos)
      << applied->report;
  EXPECT_EQ(verify(held()).has_value(), true);
  const auto again = apply(held(), OnDrift::refuse);
  ASSERT_TRUE(again) << again.error().context;
  EXPECT_FALSE(again->changed);
  give_path_back();
  EXPECT_NE(all_rules().find("-j ISTIO_OUTPUT"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::rules
