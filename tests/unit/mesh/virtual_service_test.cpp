// What VirtualServices make of a sidecar's requests (istio-api.md 1.4, 2.1 to 2.6, 7).
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

// `rules`: items of spec.http, in flow style, a line each.
std::string virtual_service(const std::string& hosts, const std::string& rules,
                            const std::string& name = "vs", const std::string& more = "",
                            const std::string& name_space = "default") {
  return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
         ", namespace: " + name_space + "}\nspec:\n  hosts: [" + hosts + "]\n" + more +
         "  http:\n" + rules + "---\n";
}
std::string send_to(const std::string& destination) {
  return "route: [{destination: {" + destination + "}}]";
}

World two_services() {
  World world;
  world.add(entry({"a.example", "default", "DNS", {"80 HTTP", "8080 HTTP"}}))
      .add(entry({"b.example", "default", "DNS", {"80 HTTP"}}))
      .add(entry({"c.example.org", "default", "DNS", {"80 HTTP", "443 HTTPS"}}));
  return world;
}

struct Case {
  const char* rule;
  std::string configuration;
  const char* destination;
  const char* host;
  const char* path;
  Answer expect;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }

const Answer to_a{"outbound|80||a.example", "default"};
Answer to_b(std::string route = "") { return {"outbound|80||b.example", std::move(route)}; }

const Case cases[] = {
    {"another destination",
     virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n"), "203.0.113.1:80",
     "a.example", "/", to_b()},
    {"the first rule that matches",
     virtual_service("a.example", "  - {match: [{uri: {prefix: /b}}], " +
                                      send_to("host: b.example") + "}\n  - {" +
                                      send_to("host: a.example") + "}\n"),
     "203.0.113.1:80",
     "a.example",
     "/x",
     {"outbound|80||a.example", ""}},
    {"no rule matches: 404",
     virtual_service("a.example",
                     "  - {match: [{uri: {prefix: /b}}], " + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80",
     "a.example",
     "/x",
     {"-", "-", 404}},
    {"nothing after a rule without a match",
     virtual_service("a.example", "  - {name: all, " + send_to("host: b.example") + "}\n  - {" +
                                      send_to("host: a.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_b("all")},
    {"the route's name is the rule's and the match's",
     virtual_service("a.example", "  - {name: r, match: [{name: m, uri: {prefix: /}}], " +
                                      send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_b("r.m")},
    {"a match's statPrefix decides nothing",
     virtual_service("a.example",
                     "  - {match: [{statPrefix: s}], " + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_b()},
    {"a match for another port leaves this one alone",
     virtual_service("a.example",
                     "  - {match: [{port: 8080}], " + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_a},
    {"and takes its own",
     virtual_service("a.example", "  - {match: [{port: 8080}], " +
                                      send_to("host: b.example, port: {number: 80}") + "}\n"),
     "203.0.113.1:8080", "a.example", "/", to_b()},
    {"a destination without a port is the dialled one (measured)",
     virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n"),
     "203.0.113.1:8080",
     "a.example",
     "/",
     {"-", ""}},
    {"an unknown host: no cluster",
     virtual_service("a.example", "  - {" + send_to("host: nowhere.example") + "}\n"),
     "203.0.113.1:80",
     "a.example",
     "/",
     {"-", ""}},
    {"only of a gateway: no effect here",
     virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n", "vs",
                     "  gateways: [edge]\n"),
     "203.0.113.1:80", "a.example", "/", to_a},
    {"mesh among the gateways",
     virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n", "vs",
                     "  gateways: [edge, mesh]\n"),
     "203.0.113.1:80", "a.example", "/", to_b()},
    {"a match's gateways replace them",
     virtual_service("a.example",
                     "  - {match: [{gateways: [edge]}], " + send_to("host: b.example") + "}\n",
                     "vs", "  gateways: [edge, mesh]\n"),
     "203.0.113.1:80", "a.example", "/", to_a},
    {"sourceLabels of this proxy",
     virtual_service("a.example", "  - {match: [{sourceLabels: {app: sleep}}], " +
                                      send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_b()},
    {"sourceLabels of another",
     virtual_service("a.example", "  - {match: [{sourceLabels: {app: other}}], " +
                                      send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_a},
    {"sourceLabels don't matter beside gateways",
     virtual_service("a.example", "  - {match: [{gateways: [mesh], sourceLabels: {app: other}}], " +
                                      send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_b()},
    {"sourceNamespace of another",
     virtual_service("a.example", "  - {match: [{sourceNamespace: prod}], " +
                                      send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_a},
    {"exportTo its own namespace only",
     virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n", "vs",
                     "  exportTo: ['.']\n", "prod"),
     "203.0.113.1:80", "a.example", "/", to_a},
    {"of another namespace, exported",
     virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n", "vs", "", "prod"),
     "203.0.113.1:80", "a.example", "/", to_b()},
    {"a wildcard host takes services that it matches",
     virtual_service("'*.example.org'", "  - {" + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "c.example.org", "/", to_b()},
    {"and no unknown ones (measured)",
     virtual_service("'*.example.org'", "  - {" + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80",
     "d.example.org",
     "/",
     {"PassthroughCluster", "allow_any"}},
    {"a name that no service has works on an HTTP port (measured)",
     virtual_service("virtual.example", "  - {" + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "virtual.example", "/", to_b()},
    {"the exact host beats the wildcard, whatever the age",
     virtual_service("'*.example.org'", "  - {" + send_to("host: a.example") + "}\n", "old") +
         virtual_service("c.example.org", "  - {" + send_to("host: b.example") + "}\n", "young"),
     "203.0.113.1:80", "c.example.org", "/", to_b()},
    {"of equal hosts the oldest",
     virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n", "old") +
         virtual_service("a.example", "  - {" + send_to("host: a.example") + "}\n", "young"),
     "203.0.113.1:80", "a.example", "/", to_b()},
    {"a redirect needs no cluster",
     virtual_service("a.example", "  - {redirect: {uri: /there, redirectCode: 302}}\n"),
     "203.0.113.1:80",
     "a.example",
     "/",
     {"-", "", 302}},
    {"an answer neither",
     virtual_service("a.example", "  - {directResponse: {status: 418}}\n"),
     "203.0.113.1:80",
     "a.example",
     "/",
     {"-", "", 418}},
    {"a delegate's rule under its root's",
     virtual_service("a.example",
                     "  - {match: [{uri: {prefix: /d}}], delegate: {name: d}}\n"
                     "  - {" +
                         send_to("host: a.example") + "}\n") +
         virtual_service(
             "", "  - {match: [{uri: {prefix: /d/b}}], " + send_to("host: b.example") + "}\n", "d"),
     "203.0.113.1:80", "a.example", "/d/b/x", to_b()},
    {"where both contradict each other the next rule takes it",
     virtual_service("a.example",
                     "  - {match: [{uri: {prefix: /d}}], delegate: {name: d}}\n"
                     "  - {" +
                         send_to("host: a.example") + "}\n") +
         virtual_service(
             "", "  - {match: [{uri: {prefix: /e}}], " + send_to("host: b.example") + "}\n", "d"),
     "203.0.113.1:80",
     "a.example",
     "/d",
     {"outbound|80||a.example", ""}},
    {"a root's regex holds for its delegate",
     virtual_service("a.example",
                     "  - {match: [{uri: {regex: /d.*}}], delegate: {name: d}}\n"
                     "  - {" +
                         send_to("host: a.example") + "}\n") +
         virtual_service("", "  - {" + send_to("host: b.example") + "}\n", "d"),
     "203.0.113.1:80", "a.example", "/dd", to_b()},
    {"a regex never goes with another match of the same: the next rule takes it",
     virtual_service("a.example",
                     "  - {match: [{uri: {regex: /d.*}}], delegate: {name: d}}\n"
                     "  - {" +
                         send_to("host: a.example") + "}\n") +
         virtual_service(
             "", "  - {match: [{uri: {prefix: /d}}], " + send_to("host: b.example") + "}\n", "d"),
     "203.0.113.1:80",
     "a.example",
     "/d",
     {"outbound|80||a.example", ""}},
    {"a root's answer is its delegate's",
     virtual_service("a.example", "  - {delegate: {name: d}, directResponse: {status: 418}}\n") +
         virtual_service("", "  - {" + send_to("host: b.example") + "}\n", "d"),
     "203.0.113.1:80",
     "a.example",
     "/",
     {"-", "", 418}},
    {"an empty prefix takes every path",
     virtual_service("a.example",
                     "  - {match: [{uri: {prefix: ''}}], " + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/any", to_b()},
    {"a redirect with a code that Istio can't send: 503",
     virtual_service("a.example", "  - {redirect: {uri: /x, redirectCode: 304}}\n"),
     "203.0.113.1:80",
     "a.example",
     "/",
     {"-", "", 503}},
    {"a missing delegate falls through (measured)",
     virtual_service("a.example",
                     "  - {delegate: {name: missing}}\n  - {" + send_to("host: b.example") + "}\n"),
     "203.0.113.1:80", "a.example", "/", to_b()},
};
class VirtualServiceRouting : public testing::TestWithParam<Case> {};
TEST_P(VirtualServiceRouting, GoesWhereIstioSends) {
  const Case& c = GetParam();
  auto world = two_services();
  world.add(c.configuration).compile();
  const RequestFacts facts{.authority = c.host, .path = c.path, .method = "GET"};
  EXPECT_EQ(world.request(c.destination, facts), c.expect) << world.findings();
}
INSTANTIATE_TEST_SUITE_P(Spec, VirtualServiceRouting, testing::ValuesIn(cases));

TEST(VirtualServiceWeights, ShareTheRequests) {
  auto world = two_services();
  world
      .add(virtual_service("a.example",
                           "  - {route: [{destination: {host: a.example}, weight: 75}, "
                           "{destination: {host: b.example}, weight: 25}, "
                           "{destination: {host: c.example.org}, weight: 0}]}\n"))
      .compile();
  std::map<std::string, int> seen;
  for (uint32_t i = 0; i < 1000; i++) {
    const RequestFacts facts{.authority = "a.example", .path = "/", .method = "GET", .random = i};
    seen[world.request("203.0.113.1:80", facts).cluster]++;
  }
  EXPECT_EQ(seen["outbound|80||a.example"], 750);
  EXPECT_EQ(seen["outbound|80||b.example"], 250);
  EXPECT_EQ(seen.size(), 2u);
}

TEST(VirtualServiceFindings, NameWhatIsMissing) {
  auto world = two_services();
  world.add(virtual_service("a.example", "  - {" + send_to("host: nowhere.example") + "}\n"))
      .compile();
  EXPECT_NE(world.findings().find("rules.yaml:7: warning: VirtualService default/vs: "
                                  "spec.http[0].route[0].destination: IST0101: there is no "
                                  "outbound|80||nowhere.example"),
            std::string::npos)
      << world.findings();
}

TEST(VirtualServiceFindings, OfAMirrorThatIsMissingSayThatNoCopiesAreSent) {
  auto world = two_services();
  world
      .add(virtual_service("a.example",
                           "  - {" + send_to("host: a.example") +
                               ", mirrors: [{destination: {host: nowhere.example}}]}\n"))
      .compile();
  EXPECT_NE(world.findings().find("spec.http[0].mirrors[0].destination: IST0101: there is no "
                                  "outbound|80||nowhere.example: no copies are sent to it"),
            std::string::npos)
      << world.findings();
}

TEST(VirtualServiceFindings, NameTheOlderOneOfTheSameHost) {
  auto world = two_services();
  world.add(virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n", "old"))
      .add(virtual_service("a.example", "  - {" + send_to("host: b.example") + "}\n", "young"))
      .compile();
  EXPECT_NE(world.findings().find("default/young: spec.hosts: IST0109"), std::string::npos)
      << world.findings();
}

std::string rule_with_subsets(const std::string& more = "") {
  return rule({"s.example", "rule", "default", "",
               "  subsets:\n  - {name: v1, labels: {version: v1}" + more +
                   "}\n  - {name: v9, labels: {version: v9}}\n"});
}
const std::string static_entry = entry({"s.example",
                                        "default",
                                        "STATIC",
                                        {"80 HTTP"},
                                        "  endpoints:\n  - {address: 192.0.2.1, labels: {version: "
                                        "v1}}\n  - {address: 192.0.2.2, labels: "
                                        "{version: v2}}\n"});

TEST(Subsets, HaveTheEndpointsWithTheirLabels) {
  World world;
  world.add(static_entry).add(rule_with_subsets()).compile();
  ASSERT_EQ(world.cluster("outbound|80||s.example")->endpoints.size(), 2u);
  const auto* v1 = world.cluster("outbound|80|v1|s.example");
  ASSERT_TRUE(v1) << world.findings();
  ASSERT_EQ(v1->endpoints.size(), 1u);
  EXPECT_EQ(v1->endpoints[0].ip.text(), "192.0.2.1");
  EXPECT_TRUE(world.cluster("outbound|80|v9|s.example")->endpoints.empty()) << "503 UH (measured)";
}

TEST(Subsets, AreRoutedTo) {
  World world;
  world.add(static_entry)
      .add(rule_with_subsets())
      .add(virtual_service("s.example", "  - {" + send_to("host: s.example, subset: v1") + "}\n"))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "s.example").cluster, "outbound|80|v1|s.example");
}

TEST(Subsets, ReplaceBlocksOfTheirHostsPolicy) {
  World world;
  world.add(static_entry)
      .add(rule(
          {"s.example", "rule", "default",
           "tls: {mode: SIMPLE, sni: host.example}, connectionPool: {tcp: {maxConnections: 3}}",
           "  subsets:\n  - {name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: SIMPLE, "
           "sni: "
           "subset.example}}}\n"}))
      .compile();
  const auto* v1 = world.cluster("outbound|80|v1|s.example");
  ASSERT_TRUE(v1);
  EXPECT_EQ(v1->tls.sni, "subset.example");
  EXPECT_EQ(v1->max_connections, 3u) << "a block that it does not give is its host's";
  EXPECT_EQ(world.cluster("outbound|80||s.example")->tls.sni, "host.example");
}

TEST(Subsets, APortsEntryOfTheSubsetBeatsAll) {
  World world;
  world.add(static_entry)
      .add(rule({"s.example", "rule", "default", "tls: {mode: SIMPLE, sni: host.example}",
                 "  subsets:\n  - {name: v1, labels: {version: v1}, trafficPolicy: "
                 "{portLevelSettings: [{port: "
                 "{number: 80}, loadBalancer: {simple: RANDOM}}]}}\n"}))
      .compile();
  const auto* v1 = world.cluster("outbound|80|v1|s.example");
  ASSERT_TRUE(v1);
  EXPECT_EQ(v1->balancing, Balancing::random);
  EXPECT_EQ(v1->tls.mode, Originate::none) << "what the entry does not give is a default";
}

std::string l4(const std::string& hosts, const std::string& kind, const std::string& rules) {
  return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: l4}\n"
         "spec:\n  hosts: [" +
         hosts + "]\n  " + kind + ":\n" + rules + "---\n";
}

World l4_world() {
  World world;
  world.add(entry({"t.example", "default", "DNS", {"443 TLS"}}))
      .add(entry({"u.example", "default", "DNS", {"443 TLS"}}))
      .add(entry({"d.example", "default", "DNS", {"5432 TCP"}, "  addresses: [192.0.2.20]\n"}))
      .add(entry({"e.example", "default", "DNS", {"5432 TCP"}, "  addresses: [192.0.2.21]\n"}));
  return world;
}

TEST(TlsRules, TakeThePlaceOfTheServicesName) {
  auto world = l4_world();
  world
      .add(l4("t.example", "tls",
              "  - {match: [{sniHosts: [t.example], port: 443}], route: [{destination: {host: "
              "u.example}}]}\n"))
      .compile();
  EXPECT_EQ(world.tls("203.0.113.1:443", "t.example").cluster, "outbound|443||u.example");
  EXPECT_EQ(world.tls("203.0.113.1:443", "u.example").cluster, "outbound|443||u.example");
}

TEST(TlsRules, ForAnotherPortLeaveTheServiceAlone) {
  auto world = l4_world();
  world
      .add(l4("t.example", "tls",
              "  - {match: [{sniHosts: [t.example], port: 8443}], route: [{destination: {host: "
              "u.example}}]}\n"))
      .compile();
  EXPECT_EQ(world.tls("203.0.113.1:443", "t.example").cluster, "outbound|443||t.example");
}

TEST(TlsRules, ForAHostWithoutServiceHaveNoEffect) {
  auto world = l4_world();
  world
      .add(l4("none.example", "tls",
              "  - {match: [{sniHosts: [none.example]}], route: [{destination: {host: "
              "u.example}}]}\n"))
      .compile();
  EXPECT_EQ(world.tls("203.0.113.1:443", "none.example").cluster, "PassthroughCluster");
}

TEST(TlsRules, ToWhatIsNotThereClose) {
  auto world = l4_world();
  world
      .add(l4(
          "t.example", "tls",
          "  - {match: [{sniHosts: [t.example]}], route: [{destination: {host: gone.example}}]}\n"))
      .compile();
  const Answer closed{"outbound|443||gone.example", "-", 0, true};
  EXPECT_EQ(world.tls("203.0.113.1:443", "t.example"), closed);
}

TEST(TcpRules, SendAServicesConnectionsElsewhere) {
  auto world = l4_world();
  world.add(l4("d.example", "tcp", "  - {route: [{destination: {host: e.example}}]}\n")).compile();
  EXPECT_EQ(world.bytes("192.0.2.20:5432").cluster, "outbound|5432||e.example");
}

TEST(TcpRules, DoNotLookAtASourceSubnet) {
  auto world = l4_world();
  world
      .add(l4("d.example", "tcp",
              "  - {match: [{sourceSubnet: 198.51.100.0/24}], route: [{destination: {host: "
              "e.example}}]}\n"))
      .compile();
  EXPECT_EQ(world.bytes("192.0.2.20:5432").cluster, "outbound|5432||e.example");
}

TEST(TcpRules, WeighTheirDestinations) {
  auto world = l4_world();
  world
      .add(l4("d.example", "tcp",
              "  - {route: [{destination: {host: d.example}, weight: 1}, {destination: {host: "
              "e.example}, weight: 3}]}\n"))
      .compile();
  const auto address = at("192.0.2.20:5432");
  std::map<std::string, int> seen;
  for (uint32_t i = 0; i < 8; i++) {
    const auto plan = decide_connection(world.snapshot(), find_listener(world.snapshot(), address),
                                        address, {}, i);
    seen[plan.cluster->name]++;
  }
  EXPECT_EQ(seen["outbound|5432||d.example"], 2);
  EXPECT_EQ(seen["outbound|5432||e.example"], 6);
}

TEST(VirtualServiceReuse, ARouteThatDidNotChangeIsTheSameObject) {
  auto world = two_services();
  world
      .add(virtual_service("a.example",
                           "  - {match: [{uri: {regex: '/x.*'}}], rewrite: {uri: /y}, " +
                               send_to("host: b.example") + "}\n"))
      .compile();
  const auto before = world.snapshot().by_port.at(80);
  world.compile();
  EXPECT_EQ(world.snapshot().by_port.at(80), before);
}

}  // namespace
}  // namespace sallyport::mesh
