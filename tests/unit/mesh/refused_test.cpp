// Fail closed (architecture.md "Configuration becomes behaviour", "Failure is part of the
// interface"): what a refused resource names gets 503 or is closed, with its file and line; what it
// does not name is served as ever.
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

const std::string broken_tls =
    "tls: {mode: SIMPLE, caCertificate: /misspelt.pem}";  // an unknown field inside tls

World with_broken_rule(RuleSpec spec) {
  World world;
  world.add(entry({"api.example.com", "default", "DNS", {"80 HTTP", "443 TLS"}}))
      .add(entry({"other.example.com", "default", "DNS", {"80 HTTP", "443 TLS"}}));
  spec.policy = broken_tls;
  world.add(rule(spec), "broken.yaml");
  EXPECT_EQ(world.input.refused.size(), 1u);
  world.compile();
  return world;
}

TEST(RefusedRule, ClosesItsHostAndNoOther) {
  const auto world = with_broken_rule({"api.example.com"});
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 503);
  EXPECT_TRUE(world.tls("203.0.113.1:443", "api.example.com").closed);
  EXPECT_EQ(world.http("203.0.113.1:80", "other.example.com"),
            (Answer{"outbound|80||other.example.com", "default"}));
  EXPECT_FALSE(world.tls("203.0.113.1:443", "other.example.com").closed);
  EXPECT_EQ(world.http("203.0.113.1:80", "unlisted.example").route, "allow_any");
}

TEST(RefusedRule, IsNamedWithFileAndLine) {
  const auto world = with_broken_rule({"api.example.com"});
  const auto* cluster = world.cluster("outbound|80||api.example.com");
  ASSERT_TRUE(cluster && cluster->refused);
  EXPECT_NE(cluster->refused->context.find(
                "api.example.com is closed: broken.yaml:8: DestinationRule default/rule"),
            std::string::npos)
      << cluster->refused->context;
  EXPECT_EQ(cluster->refused->resource, "DestinationRule default/rule (broken.yaml:1)");
  EXPECT_FALSE(cluster->refused->retryable);
  EXPECT_TRUE(cluster->endpoints.empty()) << "nothing to send to";
}

struct RuleCase {
  const char* rule;
  RuleSpec spec;
  bool closes;  // api.example.com, of namespace default, for a proxy of namespace default
};
void PrintTo(const RuleCase& c, std::ostream* out) { *out << c.rule; }
const RuleCase rule_cases[] = {
    {"its wildcard", {"*.example.com"}, true},
    {"7: any match in the first namespace wins, so another namespace's is not asked",
     {"api.example.com", "r", "elsewhere"},
     false},
    {"the root namespace's is asked last", {"api.example.com", "r", "istio-system"}, true},
};
class RefusedRuleReach : public testing::TestWithParam<RuleCase> {};
TEST_P(RefusedRuleReach, IsThatOfAGoodOne) {
  const auto& c = GetParam();
  EXPECT_EQ(with_broken_rule(c.spec).http("203.0.113.1:80", "api.example.com").status == 503,
            c.closes)
      << c.rule;
}
INSTANTIATE_TEST_SUITE_P(Spec, RefusedRuleReach, testing::ValuesIn(rule_cases));

TEST(RefusedRule, IsNotAskedWhereAGoodOneIsMoreSpecific) {
  World world;
  world.add(entry({"api.example.com"})).add(rule({"api.example.com", "good"}));
  world.add(rule({"*.example.com", "bad", "default", broken_tls})).compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 0);
}

TEST(RefusedRule, ClosesThoughAGoodOneHasTheSameHost) {
  World world;
  world.add(entry({"api.example.com"})).add(rule({"api.example.com", "good"}));
  world.add(rule({"api.example.com", "bad", "default", broken_tls})).compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 503)
      << "it may have been the one that counts";
}

TEST(RefusedRule, ClosesAHostThatNoServiceDeclares) {
  World world;
  world.add(entry({"web.example.com"}))
      .add(rule({"lone.example.com", "bad", "default", broken_tls}))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "lone.example.com").status, 503);
  EXPECT_EQ(world.http("203.0.113.1:8080", "lone.example.com").status, 503)
      << "on a port that declares nothing too";
  EXPECT_TRUE(world.tls("203.0.113.1:8443", "lone.example.com").closed);
  EXPECT_EQ(world.http("203.0.113.1:8080", "free.example.com").route, "allow_any");
  EXPECT_FALSE(world.bytes("203.0.113.1:8080").closed);
}

const char* const broken_entry =
    "kind: ServiceEntry\napiVersion: networking.istio.io/v1\nmetadata: {name: e, namespace: "
    "default}\nspec:\n"
    "  hosts: [api.example.com, '*.wild.example']\n  resolution: NOWHERE\n"
    "  ports: [{number: 80, name: http, protocol: HTTP}]\n";

TEST(RefusedEntry, ClosesItsHostsOnEveryPort) {
  World world;
  world.add(entry({"web.example.com", "default", "DNS", {"80 HTTP", "443 TLS"}}))
      .add(broken_entry)
      .compile();
  ASSERT_EQ(world.input.refused.size(), 1u);
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 503);
  EXPECT_EQ(world.http("203.0.113.1:80", "API.example.com:80").status, 503);
  EXPECT_EQ(world.http("203.0.113.1:80", "a.wild.example").status, 503);
  EXPECT_EQ(world.http("203.0.113.1:9999", "api.example.com").status, 503);
  EXPECT_TRUE(world.tls("203.0.113.1:443", "api.example.com").closed);
  EXPECT_TRUE(world.tls("203.0.113.1:9999", "a.wild.example").closed);
  EXPECT_EQ(world.http("203.0.113.1:80", "web.example.com").status, 0);
  EXPECT_EQ(world.tls("203.0.113.1:443", "web.example.com").cluster,
            "outbound|443||web.example.com");
}

TEST(RefusedEntry, LeavesPortsToAGoodOneOfThatHost) {
  World world;
  world.add(entry({"api.example.com", "default", "DNS", {"80 HTTP"}}))
      .add(entry({"web.example.com", "default", "DNS", {"81 HTTP"}}));
  world.add(broken_entry).compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com"),
            (Answer{"outbound|80||api.example.com", "default"}));
  EXPECT_EQ(world.http("203.0.113.1:81", "api.example.com").status, 503);
}

TEST(RefusedEntry, DoesNotKeepServerFirstProtocolsWaiting) {
  World world;
  world.add(broken_entry).compile();
  const auto arrival = find_listener(world.snapshot(), at("203.0.113.1:25"));
  EXPECT_TRUE(arrival.sniff) << "to see the host";
  ASSERT_TRUE(arrival.silent_client);
  EXPECT_EQ(arrival.silent_client->cluster->name, "PassthroughCluster");
}

std::string routing(const std::string& host, const std::string& http,
                    const std::string& more = "") {
  return "---\nkind: VirtualService\napiVersion: networking.istio.io/v1\nmetadata: {name: to-" +
         std::to_string(host.size() + http.size()) + "}\nspec:\n" + more + "  hosts: ['" + host +
         "']\n  http:\n  - " + http + "\n";
}
const char* const bad_match = "{match: [{uri: {regex: '['}}], directResponse: {status: 403}}";

World with_broken_routes(const std::string& yaml) {
  World world;
  world.add(entry({"api.example.com", "default", "DNS", {"80 HTTP", "443 TLS", "9000 TCP"}}))
      .add(entry({"web.example.com", "default", "DNS", {"80 HTTP"}}))
      .add(yaml, "broken.yaml")
      .compile();
  EXPECT_EQ(world.input.refused.size(), 1u);
  return world;
}

TEST(RefusedRoutes, CloseTheirHost) {
  const auto world = with_broken_routes(routing("api.example.com", bad_match));
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 503);
  EXPECT_EQ(world.http("203.0.113.1:8080", "api.example.com").status, 503);
  EXPECT_TRUE(world.tls("203.0.113.1:443", "api.example.com").closed);
  EXPECT_TRUE(world.bytes("203.0.113.1:9000").closed);
  EXPECT_EQ(world.http("203.0.113.1:80", "web.example.com").status, 0);
  const auto* closed = world.cluster("outbound|0||api.example.com");
  ASSERT_TRUE(closed && closed->refused);
  EXPECT_NE(closed->refused->context.find("broken.yaml:"), std::string::npos);
}

TEST(RefusedRoutes, OfAnUnreadableDocumentCloseItsHostAndNoDestination) {
  const auto world = with_broken_routes(
      "kind: VirtualService\napiVersion: networking.istio.io/v1\nmetadata:\n  name: torn\nspec:\n"
      "  hosts:\n  - api.example.com\n  http:\n  - route:\n    - destination:\n"
      "        host: web.example.com\n      weight: {\n");
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 503);
  EXPECT_EQ(world.http("203.0.113.1:80", "web.example.com").status, 0);
}

TEST(RefusedRoutes, LeaveTheRoutesOfOthersToThatHost) {
  World world;
  world.add(entry({"api.example.com"})).add(entry({"web.example.com"}));
  world.add(routing("web.example.com", "{route: [{destination: {host: api.example.com}}]}"))
      .add(routing("api.example.com", bad_match))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "web.example.com").cluster,
            "outbound|80||api.example.com");
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 503);
}

TEST(RefusedRoutes, YieldToAGoodOne) {
  World world;
  world.add(entry({"api.example.com"}))
      .add(routing("api.example.com", bad_match))
      .add(routing("api.example.com", "{directResponse: {status: 418}}"))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 418);
}

TEST(RefusedRoutes, OfGatewaysAloneMeanNothingHere) {
  for (const char* gateways : {"  gateways: [edge]\n", "  gateways:\n  - edge\n"}) {
    auto world = with_broken_routes(routing("api.example.com", bad_match, gateways));
    EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 0);
    world = with_broken_routes(routing("api.example.com", "{", gateways));
    EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 0) << "unreadable";
  }
  const auto both =
      with_broken_routes(routing("api.example.com", "{", "  gateways: [edge, mesh]\n"));
  EXPECT_EQ(both.http("203.0.113.1:80", "api.example.com").status, 503);
}

TEST(RefusedRoutes, OfEveryHostCloseNone) {
  const auto world = with_broken_routes(routing("*", "{directResponse: {status: 403}}"));
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 0)
      << "a sidecar's can't have it: nothing was asked for";
}

TEST(RefusedResource, WithoutAReadableHostIsSaidAloud) {
  World world;
  world.add(entry({"api.example.com"}));
  world.add(
      "kind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata: {name: "
      "nameless}\nspec:\n"
      "  trafficPolicy: {tls: {mode: SIMPLE}}\n");
  ASSERT_EQ(world.input.refused.size(), 1u);
  world.compile();
  EXPECT_NE(world.findings().find("names no host that could be read"), std::string::npos)
      << world.findings();
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 0);
}

// A rule that is well formed but asks for what can't be given.
TEST(UnavailableTls, IsAnsweredWithItsReasonNeverPlaintext) {
  World world;
  world.add(entry({"api.example.com", "default", "DNS", {"80 HTTP", "9000 TCP"}}))
      .add(rule({"api.example.com", "r", "default", "tls: {mode: SIMPLE, credentialName: x}"}))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "api.example.com").status, 503);
  const auto plan = world.connect("203.0.113.1:9000", {});
  EXPECT_EQ(plan.action, Action::refuse);
  EXPECT_EQ(plan.why,
            "credentialName on a sidecar needs a workloadSelector in the DestinationRule (Istio "
            "sends plaintext here)");
  EXPECT_FALSE(find_listener(world.snapshot(), at("203.0.113.1:9000")).silent_client)
      << "nothing is opened for it";
  EXPECT_NE(world.findings().find("outbound|80||api.example.com is closed"), std::string::npos)
      << world.findings();
}

}  // namespace
}  // namespace sallyport::mesh
