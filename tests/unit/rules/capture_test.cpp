// The rules at work. The flows are those of Istio's own description.
#include "tests/unit/rules/capture_fixture.h"

namespace sallyport::rules {
namespace {

TEST_P(Capture, EveryFlowOfAFullyCapturedPodTakesItsWay) {
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80))
      << "what the application opens";
  EXPECT_EQ(connect(From::proxy, peer(80)), "peer") << "what the proxy opens goes out";
  EXPECT_EQ(connect(From::peer, local(8080)), "15006 for " + local(8080)) << "what arrives";
  EXPECT_EQ(connect(From::proxy_inbound_source, local(8080)), "application")
      << "the inbound side to the application";
  EXPECT_EQ(connect(From::proxy, local(8080)), "15006 for " + local(8080))
      << "the proxy to an endpoint of its own pod";
  EXPECT_EQ(connect(From::application, local(8080)), "application")
      << "the application to its own address";
  EXPECT_EQ(connect(From::application, v4() ? "127.0.0.1:8080" : "[::1]:8080"), "application")
      << "to loopback";
  EXPECT_EQ(connect(From::proxy, v4() ? "127.0.0.1:8080" : "[::1]:8080"), "application")
      << "the proxy to loopback";
  EXPECT_EQ(connect(From::peer, local(15021)), "application") << "a probe at an excluded port";
  EXPECT_EQ(connect(From::peer, local(15008)), "application") << "the tunnel's listener";
}

TEST_P(Capture, ExclusionsAndInclusionsHold) {
  Options options = capture_all();
  options.exclude_outbound_ports = {443};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(443)), "peer") << "-o";
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80));

  options = capture_all();
  options.exclude_outbound_cidrs = parse_cidrs("198.18.0.2/32,2001:db8::2/128", "").value();
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "-x";

  options = capture_all();
  options.outbound_cidrs = "203.0.113.0/24";
  options.outbound_ports = {443};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "not in -i";
  EXPECT_EQ(connect(From::application, peer(443)), "15001 for " + peer(443)) << "-q";

  options.outbound_cidrs = "198.18.0.0/16,2001:db8::/64";
  options.inbound_ports = "8081";
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "15001 for " + peer(80)) << "in -i";
  EXPECT_EQ(connect(From::peer, local(8081)), "15006 for " + local(8081)) << "in -b";
  EXPECT_EQ(connect(From::peer, local(8080)), "application") << "not in -b";

  options = capture_all();
  options.exclude_interfaces = {"eth0"};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "-c, leaving";
  EXPECT_EQ(connect(From::peer, local(8080)), "application") << "-c, arriving";

  options = capture_all();
  options.proxy_uids = options.proxy_gids = {application_id};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::application, peer(80)), "peer") << "-u";
}

TEST_P(Capture, GuestsOfAVirtualMachineInterfaceAreOutbound) {
  Options options = capture_all();
  options.guest_interfaces = {"eth0"};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::peer, local(8080)), "15001 for " + local(8080));
}

TEST_P(Capture, EndsWithRemove) {
  ASSERT_TRUE(apply(capture_all()));
  ASSERT_TRUE(remove());
  EXPECT_EQ(connect(From::application, peer(80)), "peer");
  EXPECT_EQ(connect(From::peer, local(8080)), "application");
}

// 14 to 18 of iptables.md's flows: who counts as the proxy.
TEST_P(Capture, TheProxyIsKnownByItsUserAndItsGroup) {
  Options options = capture_all();
  options.proxy_uids = options.proxy_gids = {proxy_id, second_proxy_id};
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(connect(From::proxy_group_only, peer(80)), "peer") << "an application of its group";
  EXPECT_EQ(connect(From::proxy_group_only, local(8080)), "application")
      << "which is none where it reaches its own pod";
  EXPECT_EQ(connect(From::in_proxy_group, peer(80)), "15001 for " + peer(80))
      << "a supplementary group is nothing";
  EXPECT_EQ(connect(From::second_proxy, peer(80)), "peer") << "the second of -u";
  EXPECT_EQ(connect(From::second_proxy, local(8080)), "application")
      << "the first one's rule stands before its own, as Istio's does";
  if (v4()) {
    EXPECT_EQ(connect(From::proxy, "127.0.0.9:8080"), "15006 for 127.0.0.9:8080")
        << "loopback is 127.0.0.1/32";
    options.loopback_v4 = Cidr::parse("127.0.0.1/8");
    ASSERT_TRUE(apply(options));
    EXPECT_EQ(connect(From::proxy, "127.0.0.9:8080"), "application")
        << "but for ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR";
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Capture, all_kinds, name_of_kind);

}  // namespace
}  // namespace sallyport::rules
