// --udp-policy and UDP_POLICY: of the sidecar, of init.
#include "agent/cli/udp_policy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "agent/cli/identity.h"
#include "agent/cli/init_flags.h"

namespace sallyport::cli {
namespace {

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

TEST(UdpPolicyFlag, OfASidecarIsTheFlagElseTheEnvironments) {
  const auto policy = [](const std::string& flag, const std::string& variable) {
    IdentityFlags flags;
    flags.udp_policy = flag;
    return find_identity(flags, environment({{"UDP_POLICY", variable}})).value().udp_policy;
  };
  EXPECT_EQ(find_identity({}, environment({})).value().udp_policy, istio::UdpPolicy::off);
  EXPECT_EQ(policy("", "log"), istio::UdpPolicy::log);
  EXPECT_EQ(policy("enforce", "log"), istio::UdpPolicy::enforce);
  EXPECT_EQ(policy("off", "log"), istio::UdpPolicy::off);
  const auto wrong = find_identity({}, environment({{"UDP_POLICY", "Enforce"}}));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().context, "UDP policy \"Enforce\" is none of off, log and enforce");
}

TEST(UdpPolicyFlag, OfInitExceptsTheServersOfResolvConf) {
  const std::string path = testing::TempDir() + "udp-resolv-" + std::to_string(getpid());
  std::ofstream(path) << "nameserver 10.96.0.10\n";
  InitFlags flags;
  flags.resolv_conf = path;
  std::vector<std::string> notes;
  EXPECT_FALSE(to_options(flags, notes).value().udp);
  flags.udp_policy = "enforce";
  const auto closed = to_options(flags, notes).value().udp;
  ASSERT_TRUE(closed);
  EXPECT_FALSE(closed->fail_open);
  EXPECT_EQ(closed->dns_servers, std::vector<IpAddress>{*IpAddress::parse("10.96.0.10")});
  flags.udp_policy = "log";
  EXPECT_TRUE(to_options(flags, notes).value().udp->fail_open);
  unlink(path.c_str());
}

TEST(UdpPolicyFlag, OfAGatewayOrOffOpensNothing) {
  istio::Proxy proxy;
  EXPECT_FALSE(open_udp_policy(proxy, 0).value());
  proxy.udp_policy = istio::UdpPolicy::enforce;
  proxy.type = istio::Proxy::Type::router;
  EXPECT_FALSE(open_udp_policy(proxy, 0).value());
}

}  // namespace
}  // namespace sallyport::cli
