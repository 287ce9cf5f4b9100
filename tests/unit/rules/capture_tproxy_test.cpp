// TPROXY at work: what arrives reaches the agent with its client's address, the agent reaches the
// application from there, and nothing goes in a circle (iptables.md 6).
#include <atomic>
#include <thread>

#include "iptables/policy_route.h"
#include "tests/unit/rules/capture_fixture.h"

namespace sallyport::rules {
namespace {

class Tproxy : public Capture {
protected:
  void SetUp() override {
    Capture::SetUp();
    proxy_uid_ = 0;
    options_ = capture_all();
    options_.interception = Interception::tproxy;
  }
  void must_apply() {
    const auto applied = apply(options_);
    ASSERT_TRUE(applied) << applied.error().context;
  }
  // Rules, and the routes of table 133, which need not be there.
  static std::string policy() {
    return run(
        "for f in -4 -6; do ip $f rule; ip $f route show table all | grep 'table 133' || :; done");
  }

  Options options_;
};

TEST_P(Tproxy, EveryFlowTakesItsWay) {
  must_apply();
  EXPECT_EQ(connect(From::peer, local(8080)), "15006 for " + local(8080)) << "what arrives";
  EXPECT_EQ(connect(From::proxy_client_source, local(8080)), "application")
      << "the inbound side to the application, from its client's address";
  EXPECT_EQ(connect(From::proxy_inbound_source, local(8080)), "application")
      << "a probe of the agent";
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80))
      << "what the application opens";
  EXPECT_EQ(connect(From::proxy, peer(80)), "peer") << "what the proxy opens goes out";
  EXPECT_EQ(connect(From::proxy, local(8080)), "15006 for " + local(8080))
      << "the proxy to an endpoint of its own pod";
  EXPECT_EQ(connect(From::application, local(8080)), "application")
      << "the application to its own address";
  EXPECT_EQ(connect(From::application, v4() ? "127.0.0.1:8080" : "[::1]:8080"), "application");
  EXPECT_EQ(connect(From::proxy, v4() ? "127.0.0.1:8080" : "[::1]:8080"), "application");
  EXPECT_EQ(connect(From::peer, local(15021)), "application") << "a probe at an excluded port";
}

TEST_P(Tproxy, PortsAndInterfacesAreExcluded) {
  options_.inbound_ports = "8081";
  must_apply();
  EXPECT_EQ(connect(From::peer, local(8081)), "15006 for " + local(8081)) << "in -b";
  EXPECT_EQ(connect(From::peer, local(8080)), "application") << "not in -b";
  options_.inbound_ports = "*";
  options_.exclude_interfaces = {"eth0"};
  must_apply();
  EXPECT_EQ(connect(From::peer, local(8080)), "application") << "-c";
}

TEST_P(Tproxy, OtherTablesWorkToo) {
  options_.tproxy_route_table = 78;
  must_apply();
  EXPECT_EQ(connect(From::peer, local(8080)), "15006 for " + local(8080));
  EXPECT_EQ(connect(From::proxy_client_source, local(8080)), "application");
  EXPECT_NE(run("ip rule").find("fwmark 0x539 lookup 78"), std::string::npos);
}

TEST_P(Tproxy, ATableWithARouteOfSomebodyElsesIsRefusedAndStays) {
  options_.tproxy_route_table = 78;
  run("ip route add default via 198.18.0.2 table 78; ip -6 route add default via 2001:db8::2 table "
      "78");
  const auto before = run("ip route show table 78; ip -6 route show table 78; ip rule; ip -6 rule");
  const auto refused = apply(options_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().context,
            "IPv4: table 78 has a default route of somebody else's; choose another with "
            "--istio-inbound-tproxy-route-table");
  EXPECT_EQ(run("ip route show table 78; ip -6 route show table 78; ip rule; ip -6 rule"), before);
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos);
}

TEST_P(Tproxy, GuestsOfAVirtualMachineInterfaceAreOutbound) {
  options_.guest_interfaces = {"eth0"};
  must_apply();
  EXPECT_EQ(connect(From::peer, local(8080)), "15001 for " + local(8080));
}

// Changing between the modes, new connections are captured in one way or the other at each moment.
TEST_P(Tproxy, GoesToRedirectAndBackWithoutARest) {
  const auto before = policy();
  ASSERT_TRUE(apply(capture_all()));
  const auto redirect = all_rules();
  must_apply();
  const auto tproxy = all_rules();
  EXPECT_EQ(connect(From::peer, local(8080)), "15006 for " + local(8080));
  ASSERT_TRUE(apply(capture_all()));
  EXPECT_EQ(all_rules().find("TPROXY"), std::string::npos);
  EXPECT_EQ(lines_of(all_rules(), "-A"), lines_of(redirect, "-A"));
  EXPECT_EQ(policy(), before);
  EXPECT_EQ(connect(From::peer, local(8080)), "15006 for " + local(8080));
  must_apply();
  EXPECT_EQ(lines_of(all_rules(), "-A"), lines_of(tproxy, "-A"));
  ASSERT_TRUE(remove());
  EXPECT_EQ(lines_of(all_rules(), "-A"), std::vector<std::string>{});
  EXPECT_EQ(policy(), before);
  EXPECT_EQ(connect(From::peer, local(8080)), "application");
}

// The one is there before the other goes.
TEST_P(Tproxy, NothingPassesUncapturedWhileTheModeChanges) {
  must_apply();
  std::atomic<bool> over{false};
  std::thread changing([&, here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)] {
    EXPECT_EQ(setns(here, CLONE_NEWNET), 0);
    for (int i = 0; i < 4; i++) {
      EXPECT_TRUE(apply(capture_all()));
      EXPECT_TRUE(apply(options_));
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

// Its own adds one more `ip rule` a run, and removes none.
TEST_P(Tproxy, TakesOverWhatIstiosInstallerLeft) {
  const auto before = policy();
  run("ip rule add fwmark 1337 lookup 133; ip rule add fwmark 1337 lookup 133 pref 100; "
      "ip route add local default dev lo table 133; ip -6 rule add fwmark 1337 lookup 133; "
      "iptables -t mangle -A OUTPUT -p tcp -o lo -m mark --mark 1337 -j RETURN; "
      "iptables -t mangle -A OUTPUT ! -d 127.0.0.1/32 -p tcp -o lo -m owner --uid-owner 1337 -j "
      "MARK "
      "--set-mark 1338; "
      "iptables -t mangle -A OUTPUT -p tcp -m connmark --mark 1337 -j CONNMARK --restore-mark; "
      "iptables -t mangle -A PREROUTING -p tcp -m mark --mark 1337 -j CONNMARK --save-mark");
  EXPECT_FALSE(apply(options_, OnDrift::refuse)) << "two rules of one mark are drift";
  must_apply();
  EXPECT_TRUE(verify(options_));
  EXPECT_EQ(read_policy_routes(Family::v4).value(), planned_routes(options_));
  EXPECT_EQ(read_policy_routes(Family::v6).value(), planned_routes(options_));
  ASSERT_TRUE(remove());
  EXPECT_EQ(policy(), before);
  EXPECT_EQ(lines_of(all_rules(), "-A"), std::vector<std::string>{});
}

TEST_P(Tproxy, RulesAndRoutesOfOthersStay) {
  run("ip rule add fwmark 7 lookup 133; ip rule add fwmark 1337 lookup 7; ip route add local "
      "198.51.100.0/24 dev lo table 133; iptables -t mangle -A OUTPUT -p tcp -m mark --mark 8 -j "
      "CONNMARK --save-mark");
  const auto before = policy();
  must_apply();
  ASSERT_TRUE(remove());
  EXPECT_EQ(policy(), before);
  EXPECT_NE(all_rules().find("--mark 0x8"), std::string::npos);
}

TEST_P(Tproxy, ARouteThatIsMissingIsToldAndMended) {
  must_apply();
  run(v4() ? "ip rule del fwmark 1337" : "ip -6 rule del fwmark 1337");
  const auto told = verify(options_);
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().context,
            std::string(v4() ? "IPv4" : "IPv6") + ": ip rule fwmark 0x539 lookup 133 is missing");
  EXPECT_TRUE(apply(options_, OnDrift::refuse)) << "what is not there is no drift";
  EXPECT_TRUE(verify(options_));
}

INSTANTIATE_TEST_SUITE_P(Families, Tproxy, all_kinds, name_of_kind);

class Groups : public Capture {};
TEST_P(Groups, AreCapturedOrNotByTheirNumber) {
  Options options = capture_all();
  options.owner_groups = {application_id};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80)) << "in the list";
  options.owner_groups = {7};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "not in the list";
  for (uint32_t gid = 1; gid < 64; gid++) options.owner_groups.push_back(100 + gid);
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "not among 64";
  options.owner_groups.back() = application_id;
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80)) << "among 64";
  EXPECT_TRUE(verify(options));
  options.owner_groups = {};
  options.exclude_owner_groups = {application_id};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "excluded";
}
INSTANTIATE_TEST_SUITE_P(Families, Groups, all_kinds, name_of_kind);

}  // namespace
}  // namespace sallyport::rules
