// Who the proxy is: flags win over the environment, the environment over nothing; bad values are
// named.
#include "agent/cli/identity.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>

namespace sallyport::cli {
namespace {

Environment environment(std::map<std::string, std::string> variables) {
  auto held = std::make_shared<std::map<std::string, std::string>>(std::move(variables));
  return [held](const char* name) -> const char* {
    const auto at = held->find(name);
    return at == held->end() ? nullptr : at->second.c_str();
  };
}

TEST(Identity, ComesFromWhatTheInjectorGivesAPod) {
  const auto proxy = find_identity({}, environment({{"POD_NAME", "sleep-1"},
                                                    {"POD_NAMESPACE", "shop"},
                                                    {"SERVICE_ACCOUNT", "sleep"},
                                                    {"INSTANCE_IP", "10.1.2.3"}}));
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->name, "sleep-1");
  EXPECT_EQ(proxy->namespace_name, "shop");
  EXPECT_EQ(proxy->service_account, "sleep");
  EXPECT_EQ(proxy->addresses, std::vector<std::string>{"10.1.2.3"});
}

TEST(Identity, SeveralAddressesWinOverTheOne) {
  const auto proxy = find_identity(
      {}, environment({{"INSTANCE_IPS", "10.1.2.3,2001:db8::3"}, {"INSTANCE_IP", "10.1.2.3"}}));
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->addresses, (std::vector<std::string>{"10.1.2.3", "2001:db8::3"}));
}

TEST(Identity, TproxysMarkIsTheOneThatInitGetsToo) {
  const auto mark = [](const Environment& environment) {
    return find_identity({}, environment).value().tproxy_mark;
  };
  EXPECT_EQ(mark(environment({})), 0u);
  EXPECT_EQ(mark(environment({{"ISTIO_INBOUND_TPROXY_MARK", "7"}})), 0u) << "REDIRECT";
  EXPECT_EQ(mark(environment({{"ISTIO_META_INTERCEPTION_MODE", "TPROXY"}})), 1337u);
  EXPECT_EQ(mark(environment(
                {{"ISTIO_META_INTERCEPTION_MODE", "TPROXY"}, {"ISTIO_INBOUND_TPROXY_MARK", "7"}})),
            7u);
  for (const char* wrong : {"0", "0x7", "-1", "4294967296"}) {
    const auto proxy = find_identity({}, environment({{"ISTIO_META_INTERCEPTION_MODE", "TPROXY"},
                                                      {"ISTIO_INBOUND_TPROXY_MARK", wrong}}));
    ASSERT_FALSE(proxy) << wrong;
    EXPECT_EQ(proxy.error().context,
              std::string("ISTIO_INBOUND_TPROXY_MARK \"") + wrong + "\" is not a mark");
  }
}

TEST(Identity, WithoutAnythingItIsTheDefaultNamespace) {
  const auto proxy = find_identity({}, environment({}));
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->namespace_name, "default");
  EXPECT_EQ(proxy->service_account, "default");
}

TEST(Identity, FlagsWin) {
  IdentityFlags flags;
  flags.namespace_name = "flag";
  flags.labels = {"app=sleep", "version=v1"};
  const auto proxy = find_identity(flags, environment({{"POD_NAMESPACE", "environment"}}));
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->namespace_name, "flag");
  EXPECT_EQ(proxy->labels, (istio::Labels{{"app", "sleep"}, {"version", "v1"}}));
}

TEST(Identity, AWrongAddressOrLabelIsNamed) {
  const auto address = find_identity({}, environment({{"INSTANCE_IP", "10.1.2"}}));
  ASSERT_FALSE(address);
  EXPECT_NE(address.error().context.find("\"10.1.2\""), std::string::npos);
  IdentityFlags flags;
  flags.labels = {"app"};
  const auto label = find_identity(flags, environment({}));
  ASSERT_FALSE(label);
  EXPECT_NE(label.error().context.find("\"app\""), std::string::npos);
}

TEST(Identity, AFileThatIsNamedMustBeThere) {
  IdentityFlags flags;
  flags.labels_file = "/nonexistent/labels";
  const auto proxy = find_identity(flags, environment({}));
  ASSERT_FALSE(proxy);
  EXPECT_NE(proxy.error().context.find("/nonexistent/labels"), std::string::npos);
}

TEST(LabelsFile, IsTheDownwardApis) {
  const auto labels =
      parse_labels_file("app=\"sleep\"\npod-template-hash=\"abc\"\nodd=\"a\\\"b\\\\c\\x41\"\n");
  ASSERT_TRUE(labels);
  EXPECT_EQ(*labels,
            (istio::Labels{{"app", "sleep"}, {"pod-template-hash", "abc"}, {"odd", "a\"b\\cA"}}));
}

TEST(LabelsFile, ABrokenLineIsNamed) {
  for (const char* line :
       {"app", "app=sleep", "=\"x\"", "app=\"x", "app=\"\\q\"", "app=\"\\x4\"", "app=\"a\"b\""}) {
    const auto labels = parse_labels_file("ok=\"1\"\n" + std::string(line) + "\n");
    ASSERT_FALSE(labels) << line;
    EXPECT_NE(labels.error().context.find("line 2"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace sallyport::cli
