// Real packets in a network namespace: with the rules as planned every probe goes where the flags
// say; a rule of somebody else's that leads one astray is named.
#include "iptables/verify/verify_probes.h"

#include "tests/support/iptables_namespace.h"

namespace sallyport::rules {
namespace {

class Verify : public InNamespace {
protected:
  void SetUp() override {
    InNamespace::SetUp();
    // A pod's interface, with somewhere to send.
    add_addresses();
    run("ip link set test1 up && ip route add default dev test0 && "
        "ip -6 route add default dev test0");
  }

  static std::string probed(const Options& options) {
    const auto report = send_probes(options);
    EXPECT_TRUE(report) << report.error().context;
    return report ? report->text : "";
  }
  static void expect_all_right(const Options& options, std::size_t at_least) {
    const auto applied = apply(options);
    ASSERT_TRUE(applied) << applied.error().context;
    const auto report = send_probes(options);
    ASSERT_TRUE(report) << report.error().context;
    EXPECT_EQ(report->astray, 0U) << report->text;
    EXPECT_GE(report->sent, at_least) << report->text;
  }
  static std::string first_failure(const Options& options) {
    const auto lines = lines_of(probed(options), "FAIL");
    return lines.empty() ? "none failed" : lines.front();
  }
};

TEST_F(Verify, findsAllRightAfterInit) { expect_all_right(capture_all(), 20); }

TEST_F(Verify, probesEachFlagInBothFamilies) {
  Options options = capture_all();
  options.exclude_outbound_ports = {443, 9090};
  options.outbound_ports = {8443};
  options.exclude_outbound_cidrs = {*Cidr::parse("10.96.0.0/12"), *Cidr::parse("2001:db8:77::/48")};
  options.exclude_interfaces = {"test2"};
  options.proxy_uids = {1337, 1338};
  options.exclude_owner_groups = {2000};
  options.dns = DnsCapture{.all = true, .servers = {}};
  run("ip link add test2 type veth peer name test3 && ip link set test2 up && ip link set test3 up "
      "&& ip addr add 198.18.2.1/24 dev test2 && ip -6 addr add 2001:db8:2::1/64 dev test2 nodad "
      "&& ip -6 route add default dev test2 metric 9999");
  ASSERT_TRUE(apply(options));
  const std::string text = probed(options);
  EXPECT_TRUE(lines_of(text, "FAIL").empty()) << text;
  for (const char* about :
       {"(of the application)", "(-u 1337)", "(-u 1338)", "(-g 1337)", "(-o 443)", "(-o 9090)",
        "(-q 8443)", "(-c test2)", "(ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE 2000)",
        "(DNS of the application)", "(DNS of the sidecar)", "(the application to loopback)",
        "(the application to its own pod)", "(the sidecar to its own pod)", "(-b *)", "(-d 15021)",
        "(the tunnel's port)"}) {
    for (const char* family : {"ok    IPv4", "ok    IPv6"}) {
      const auto lines = lines_of(text, family);
      EXPECT_TRUE(std::any_of(
          lines.begin(), lines.end(),
          [&](const std::string& line) { return line.find(about) != std::string::npos; }))
          << family << " " << about << "\n"
          << text;
    }
  }
  EXPECT_NE(text.find("(-x 10.96.0.0/12): 10.96.0.1:15002 by uid 1000, gid 1000 passes by"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("(-x 2001:db8:77::/48): [2001:db8:77::1]:15002"), std::string::npos) << text;
}

TEST_F(Verify, knowsListsInsteadOfAll) {
  Options options;
  options.inbound_ports = "8080,9090";
  options.outbound_cidrs = "10.0.0.0/8,2001:db8:77::/48";
  options.owner_groups = {3000, 3001};
  options.dns = DnsCapture{.all = false, .servers = {*IpAddress::parse("10.96.0.10")}};
  expect_all_right(options, 20);
}

TEST_F(Verify, knowsTproxy) {
  Options options = capture_all();
  options.interception = Interception::tproxy;
  expect_all_right(options, 16);
}

TEST_F(Verify, readsLegacyTablesToo) {
  Options options = capture_all();
  options.backend = Backend::legacy;
  expect_all_right(options, 20);
  run("iptables-legacy -t nat -I OUTPUT 1 -p tcp -j ACCEPT");
  EXPECT_TRUE(first_failure(options).ends_with("nat OUTPUT rule 1: -p tcp -j ACCEPT"));
}

TEST_F(Verify, isRightWithNativeRules) {
  Options options = capture_all();
  options.native = true;
  options.dns = DnsCapture{.all = true, .servers = {}};
  expect_all_right(options, 20);
  options.interception = Interception::tproxy;
  expect_all_right(options, 16);
}

TEST_F(Verify, isRightWhileConnectionsAreHeld) {
  Options options = capture_all();
  options.hold_until = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) +
                       std::chrono::minutes(5);
  expect_all_right(options, 20);
}

TEST_F(Verify, leavesNothingBehind) {
  ASSERT_TRUE(apply(capture_all()));
  const std::string before = run("ip -o addr; ip -o link; ip route; ip -6 route") + all_rules();
  (void)probed(capture_all());
  EXPECT_EQ(run("ip -o addr; ip -o link; ip route; ip -6 route") + all_rules(), before);
}

TEST_F(Verify, namesEachRuleThatLeadsAstray) {
  struct Case {
    const char *rule, *line;
  };
  const Case cases[] = {
      {"iptables-nft -t nat -I OUTPUT 1 -p tcp -m tcp --dport 15002 -j ACCEPT",
       "FAIL  IPv4 TCP out (of the application): 198.51.100.1:15002 by uid 1000, gid 1000 passes "
       "by, but by the flags is led to 15001; nat OUTPUT rule 1: -p tcp -m tcp --dport 15002 -j "
       "ACCEPT"},
      {"iptables-nft -t raw -I OUTPUT 1 -d 198.51.100.0/24 -j CT --notrack",
       "FAIL  IPv4 TCP out (of the application): 198.51.100.1:15002 by uid 1000, gid 1000 does not "
       "arrive: dropped, or not tracked, but by the flags is led to 15001; raw OUTPUT rule 1: -d "
       "198.51.100.0/24 -j CT --notrack"},
      {"ip6tables-nft -I OUTPUT 1 -o test0 -p tcp -j DROP",
       "FAIL  IPv6 TCP out (of the application): [2001:db8:5a12::1]:15002 by uid 1000, gid 1000 "
       "does not arrive: dropped, or not tracked, but by the flags is led to 15001; filter OUTPUT "
       "rule 1: -o test0 -p tcp -j DROP"},
      {"iptables-nft -I INPUT 1 -p tcp -m tcp --dport 15006 -j DROP",
       "FAIL  IPv4 TCP out (the sidecar to its own pod): 198.18.0.1:15002 by uid 1337, gid 1000 is "
       "led to 15006, where nobody takes it, but by the flags is led to 15006; filter INPUT rule "
       "1: -p tcp -m tcp --dport 15006 -j DROP"},
      {"iptables-nft -t nat -I PREROUTING 1 -p tcp -j REDIRECT --to-ports 7777",
       "FAIL  IPv4 TCP in (-b *): 198.18.0.1:15002 is led to 7777, where nobody takes it, but by "
       "the flags is led to 15006; "},
  };
  for (const auto& test : cases) {
    ASSERT_TRUE(apply(capture_all()));
    run(test.rule);
    EXPECT_EQ(first_failure(capture_all()).substr(0, std::string(test.line).size()), test.line);
    run("iptables-nft -t nat -F; iptables-nft -t raw -F; iptables-nft -F; ip6tables-nft -F");
  }
}

TEST_F(Verify, saysWhatItCannotProbe) {
  Options options = capture_all();
  options.exclude_interfaces = {"nothere0"};
  options.guest_interfaces = {"guest0"};
  ASSERT_TRUE(apply(options));
  run("ip route del default");
  const std::string text = probed(options);
  for (const char* line :
       {"?     IPv4 TCP out (of the application): 198.51.100.1:15002 by uid 1000, gid 1000 not "
        "probed: connect: Network is unreachable\n",
        "?     IPv4 not probed: -c nothere0: there is no such interface\n",
        "?     IPv4 not probed: -k guest0: a guest is at its other end\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
}

}  // namespace
}  // namespace sallyport::rules
