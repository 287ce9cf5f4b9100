// Whether, where and how a sidecar answers DNS questions, by istio-agent's environment.
#include "agent/cli/dns_proxy.h"

#include <gtest/gtest.h>

#include <map>

namespace sallyport::cli {
namespace {

Result<std::optional<DnsProxyPlan>> planned(std::map<std::string, std::string> variables,
                                            bool captured = true,
                                            istio::Proxy::Type type = istio::Proxy::Type::sidecar) {
  istio::Proxy proxy;
  proxy.dns_capture = captured;
  proxy.type = type;
  return plan_dns_proxy(proxy, [&variables](const char* name) { return variables[name]; });
}
std::vector<std::string> addresses(const Result<std::optional<DnsProxyPlan>>& plan) {
  std::vector<std::string> out;
  for (const auto& address : plan.value().value().addresses) out.push_back(address.text());
  return out;
}

TEST(DnsProxyPlan, OnlyASidecarWithCaptureHasOne) {
  EXPECT_TRUE(planned({}).value());
  EXPECT_FALSE(planned({}, false).value());
  EXPECT_FALSE(planned({}, true, istio::Proxy::Type::router).value());
}

TEST(DnsProxyPlan, ListensWhereTheRulesLeadTo) {
  const auto plan = planned({});
  EXPECT_EQ(addresses(plan), (std::vector<std::string>{"127.0.0.1:15053", "[::1]:15053"}));
  EXPECT_TRUE((*plan)->only_those_there) << "a pod may lack one of the two";
  EXPECT_FALSE((*plan)->forwarding.parallel);
}

TEST(DnsProxyPlan, AnotherAddressIsTakenAsItIs) {
  const auto plan = planned({{"DNS_PROXY_ADDR", "192.0.2.1:53"}});
  EXPECT_EQ(addresses(plan), std::vector<std::string>{"192.0.2.1:53"});
  EXPECT_FALSE((*plan)->only_those_there);
  EXPECT_EQ(addresses(planned({{"DNS_PROXY_ADDR", "localhost:16053"}})),
            (std::vector<std::string>{"127.0.0.1:16053", "[::1]:16053"}));
  EXPECT_TRUE((*planned({{"DNS_FORWARD_PARALLEL", "true"}}))->forwarding.parallel);
  EXPECT_EQ((*planned({{"DNS_FORWARD_TIMEOUT", "2.5s"}}))->forwarding.time,
            std::chrono::milliseconds(2'500));
}

TEST(DnsProxyPlan, AWrongVariableIsNamed) {
  for (const auto& [name, value] : {std::pair{"DNS_PROXY_ADDR", "15053"},
                                    {"DNS_PROXY_ADDR", "localhost:"},
                                    {"DNS_PROXY_ADDR", "localhost:0"},
                                    {"DNS_PROXY_ADDR", "0.0.0.0:15053"},
                                    {"DNS_FORWARD_TIMEOUT", "5"},
                                    {"DNS_FORWARD_TIMEOUT", "0s"},
                                    {"DNS_FORWARD_PARALLEL", "both"}}) {
    const auto plan = planned({{name, value}});
    ASSERT_FALSE(plan) << value;
    EXPECT_TRUE(plan.error().context.starts_with(std::string(name) + ": \"" + value + "\""))
        << plan.error().context;
  }
}

}  // namespace
}  // namespace sallyport::cli
