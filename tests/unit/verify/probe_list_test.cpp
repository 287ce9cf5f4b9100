// Where a probe must arrive is read from what the flags mean.
#include "iptables/verify/probe_list.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"

namespace sallyport::rules {
namespace {

ProbeList probes_for(const Options& options) {
  const auto checked = check(options);
  EXPECT_TRUE(checked) << checked.error().context;
  return probes_of(*checked, Family::v4,
                   {*IpAddress::parse("198.51.100.1"), *IpAddress::parse("10.0.0.7"), {"eth0"}});
}

std::string expected(const Options& options, const std::string& about) {
  for (const auto& probe : probes_for(options).probes) {
    if (probe.about == about) return expectation_of(probe);
  }
  return "no such probe";
}

Options with(const std::string& inbound, const std::string& outbound) {
  Options options;
  options.inbound_ports = inbound;
  options.outbound_cidrs = outbound;
  return options;
}

TEST(ProbeList, aFlagThatExcludesComesBeforeOneThatIncludes) {
  Options options = with("*", "10.0.0.0/8");
  options.outbound_ports = {443, 8443};
  options.exclude_outbound_ports = {443};
  options.exclude_outbound_cidrs = {*Cidr::parse("10.0.0.0/8")};
  EXPECT_EQ(expected(options, "-o 443"), "passes by");
  EXPECT_EQ(expected(options, "-q 443"), "passes by");
  EXPECT_EQ(expected(options, "-q 8443"), "is led to 15001");
  EXPECT_EQ(expected(options, "-x 10.0.0.0/8"), "passes by");
  EXPECT_EQ(expected(options, "-i 10.0.0.0/8"), "passes by");
}

TEST(ProbeList, withoutFlagsNothingIsCaptured) {
  EXPECT_EQ(expected(with("", ""), "of the application"), "passes by");
  EXPECT_EQ(expected(with("", ""), "no -b"), "passes by");
}

TEST(ProbeList, portsAreThoseOfTheFlags) {
  Options options = with("*", "*");
  options.outbound_port = 25001;
  options.inbound_port = 25006;
  EXPECT_EQ(expected(options, "of the application"), "is led to 25001");
  EXPECT_EQ(expected(options, "-b *"), "is led to 25006");
  EXPECT_EQ(expected(options, "the sidecar to its own pod"), "is led to 25006");
}

TEST(ProbeList, theApplicationIsNobodyThatAFlagNames) {
  Options options = with("*", "*");
  options.proxy_uids = {1000, 1001};
  options.proxy_gids = {1000};
  options.exclude_owner_groups = {1001, 1002};
  const auto first = probes_for(options).probes.front();
  EXPECT_EQ(first.uid, 1002U);
  EXPECT_EQ(first.gid, 1003U);
}

TEST(ProbeList, isBoundedAndSaysSo) {
  Options options = with("*", "*");
  for (uint16_t port = 1; port <= 600; port++) options.exclude_outbound_ports.push_back(port);
  const auto list = probes_for(options);
  EXPECT_EQ(list.probes.size(), limits::verify_probes);
  ASSERT_FALSE(list.left_out.empty());
  EXPECT_NE(list.left_out.back().find(" more: no more than 500 probes are sent"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::rules
