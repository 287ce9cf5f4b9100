// Which DestinationRule applies (istio-api.md 2.1, 2.2, 7), and what it says for a port (1.3
// portLevelSettings).
#include "agent/mesh/rule_choice.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

struct Case {
  const char* rule;
  std::vector<RuleSpec> rules;  // oldest first
  const char* expect;           // "namespace/name" of the rule; "-": none
  std::string service_namespace = "shop";
  std::string proxy_namespace = "default";
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }
const std::string exported_to(const std::string& list) { return "  exportTo: [" + list + "]\n"; }
const std::string for_app(const std::string& app) {
  return "  workloadSelector: {matchLabels: {app: " + app + "}}\n";
}
const std::string tls = "tls: {mode: SIMPLE}";
const char* const host = "cart.shop.svc.cluster.local";

const Case cases[] = {
    {"no rule", {}, "-"},
    {"exact host", {{host, "a", "shop"}}, "shop/a"},
    {"another host", {{"cart.other.svc.cluster.local", "a", "shop"}}, "-"},
    {"case is ignored", {{"Cart.Shop.svc.cluster.local", "a", "shop"}}, "shop/a"},
    {"short name: of the rule's namespace", {{"cart", "a", "shop"}}, "shop/a"},
    {"short name in another namespace names another host", {{"cart", "a", "default"}}, "-"},
    {"a name with a dot is not expanded", {{"cart.shop", "a", "default"}}, "-"},
    {"wildcard", {{"*.shop.svc.cluster.local", "a", "shop"}}, "shop/a"},
    {"wildcard at any depth", {{"*.local", "a", "shop"}}, "shop/a"},
    {"bare *", {{"*", "a", "shop"}}, "shop/a"},
    {"wildcard inside a label", {{"*t.shop.svc.cluster.local", "a", "shop"}}, "shop/a"},
    {"exact before wildcard, whatever the age",
     {{"*.local", "w", "shop"}, {host, "e", "shop"}},
     "shop/e"},
    {"longest wildcard",
     {{"*.local", "w", "shop"}, {"*.shop.svc.cluster.local", "l", "shop"}},
     "shop/l"},
    {"client's namespace before the service's",
     {{host, "s", "shop"}, {host, "c", "default"}},
     "default/c"},
    {"7: a wildcard in the client's namespace beats an exact one in the service's",
     {{host, "s", "shop"}, {"*.local", "c", "default"}},
     "default/c"},
    {"the service's before the root's",
     {{host, "r", "istio-system"}, {host, "s", "shop"}},
     "shop/s"},
    {"the root's", {{host, "r", "istio-system"}}, "istio-system/r"},
    {"a third namespace's is never asked", {{host, "x", "elsewhere"}}, "-"},
    {"private to the service's namespace", {{host, "s", "shop", tls, exported_to("'.'")}}, "-"},
    {"private to the client's own", {{host, "c", "default", tls, exported_to("'.'")}}, "default/c"},
    {"exported by name", {{host, "s", "shop", tls, exported_to("default")}}, "shop/s"},
    {"exported to another", {{host, "s", "shop", tls, exported_to("web")}}, "-"},
    {"exported to all", {{host, "s", "shop", tls, exported_to("'*'")}}, "shop/s"},
    {"client's own, exported elsewhere only",
     {{host, "c", "default", tls, exported_to("web")}},
     "-"},
    {"client in the root namespace: its private rules first",
     {{host, "s", "shop"}, {host, "p", "istio-system", tls, exported_to("'.'")}},
     "istio-system/p",
     "shop",
     "istio-system"},
    {"client in the root namespace: its exported rules last",
     {{host, "r", "istio-system"}, {host, "s", "shop"}},
     "shop/s",
     "shop",
     "istio-system"},
    {"workloadSelector that selects", {{host, "a", "default", tls, for_app("sleep")}}, "default/a"},
    {"workloadSelector that does not (E3d)", {{host, "a", "default", tls, for_app("other")}}, "-"},
    {"7: one that selects beats age",
     {{host, "old", "default"}, {host, "sel", "default", tls, for_app("sleep")}},
     "default/sel"},
    {"one that does not select leaves the general one",
     {{host, "sel", "default", tls, for_app("other")}, {host, "gen", "default"}},
     "default/gen"},
    {"a selector selects only in its own namespace",
     {{host, "a", "shop", tls, for_app("sleep")}},
     "-"},
    {"same host: the oldest", {{host, "old", "default"}, {host, "new", "default"}}, "default/old"},
    {"7: a later trafficPolicy counts where the first has none",
     {{host, "old", "default", ""}, {host, "new", "default"}},
     "default/new"},
};
class RuleChoiceSpec : public testing::TestWithParam<Case> {};
TEST_P(RuleChoiceSpec, Applies) {
  const auto& c = GetParam();
  World world;
  world.input.proxy.namespace_name = c.proxy_namespace;
  world.add(service("cart", c.service_namespace, "198.18.0.9", {"80 http"}));
  for (const auto& one : c.rules) world.add(rule(one));
  ASSERT_TRUE(world.input.refused.empty()) << c.rule << world.input.refused[0].finding.text();
  world.compile();
  const auto* cluster = world.cluster(std::string("outbound|80||") + host);
  ASSERT_TRUE(cluster) << c.rule;
  const auto& ref = cluster->rule;
  EXPECT_EQ(ref ? ref->namespace_name + "/" + ref->name : "-", c.expect) << c.rule;
}
INSTANTIATE_TEST_SUITE_P(Spec, RuleChoiceSpec, testing::ValuesIn(cases));

TEST(RuleChoice, OfAWildcardServiceTakesItsOwnOrAWiderWildcard) {
  const auto applies = [](const std::string& rule_host) {
    World world;
    world.add(entry({"*.a.example", "default", "NONE"})).add(rule({rule_host})).compile();
    return world.cluster("outbound|80||*.a.example")->rule != nullptr;
  };
  EXPECT_TRUE(applies("*.a.example"));
  EXPECT_TRUE(applies("*.example"));
  EXPECT_FALSE(applies("*.b.a.example"));
  EXPECT_FALSE(applies("x.a.example"));
}

// 1.3, 7: an entry for the port drops everything else, sni included; `tls: {}` is DISABLE.
struct PortCase {
  const char* rule;
  std::string policy;
  Originate mode;
  Balancing balancing;
};
void PrintTo(const PortCase& c, std::ostream* out) { *out << c.rule; }
class PortLevel : public testing::TestWithParam<PortCase> {};
TEST_P(PortLevel, Replaces) {
  const auto& c = GetParam();
  World world;
  world.add(entry({"api.example.com"}))
      .add(rule({"api.example.com", "r", "default", c.policy}))
      .compile();
  const auto* cluster = world.cluster("outbound|80||api.example.com");
  EXPECT_EQ(cluster->tls.mode, c.mode) << c.rule;
  EXPECT_EQ(cluster->balancing, c.balancing) << c.rule;
  EXPECT_EQ(cluster->tls.sni, "") << c.rule;
}
const std::string top = "loadBalancer: {simple: RANDOM}, tls: {mode: SIMPLE}";
INSTANTIATE_TEST_SUITE_P(
    Spec, PortLevel,
    testing::Values(
        PortCase{"no entry: the top level", top, Originate::simple, Balancing::random},
        PortCase{"entry of another port",
                 top + ", portLevelSettings: [{port: {number: 81}, tls: {mode: DISABLE}}]",
                 Originate::simple, Balancing::random},
        PortCase{"tls only: the balancer is the default again",
                 "loadBalancer: {simple: RANDOM}, tls: {mode: MUTUAL, clientCertificate: /c, "
                 "privateKey: /k, sni: s}, "
                 "portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]",
                 Originate::simple, Balancing::least_request},
        PortCase{
            "balancer only: no TLS any more",
            top +
                ", portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]",
            Originate::none, Balancing::round_robin},
        PortCase{"tls: {} is DISABLE", top + ", portLevelSettings: [{port: {number: 80}, tls: {}}]",
                 Originate::none, Balancing::least_request}));

TEST(Findings, NameRulesThatReachNothing) {
  World world;
  world.add(entry({"api.example.com", "default", "DNS", {"80 HTTP 443"}}));
  world.add(rule({"apy.example.com", "typo"}))
      .add(rule({"api.example.com", "r", "default",
                 "portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]"}))
      .compile();
  EXPECT_NE(world.findings().find("DestinationRule default/typo: spec.host: IST0174"),
            std::string::npos)
      << world.findings();
  EXPECT_NE(
      world.findings().find("api.example.com has no port 443; it is the targetPort of port 80"),
      std::string::npos)
      << world.findings();
}

}  // namespace
}  // namespace sallyport::mesh
