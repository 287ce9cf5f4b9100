// Localities: who is near, and what localityLbSetting makes of it
// (istio/istio:pilot/pkg/networking/core/loadbalancer).
#include "agent/mesh/locality.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

TEST(Locality, OfAProxyComesFromItsLabels) {
  EXPECT_EQ(locality_of({{"istio-locality", "r1.z1.s1"}}), "r1/z1/s1");
  EXPECT_EQ(locality_of({{"istio-locality", "r1/z1.a"}}), "r1/z1.a");
  EXPECT_EQ(locality_of({{"istio-locality", "r1"}, {"topology.istio.io/locality", "r2.z2"}}),
            "r2/z2");
  EXPECT_EQ(locality_of({}), "");
}

struct Match {
  const char *locality, *pattern;
  bool expect;
};
const Match match_cases[] = {
    {"r1/z1/s1", "r1/z1/s1", true}, {"r1/z1/s1", "r1/z1", true},  {"r1/z1/s1", "r1", true},
    {"r1/z1/s1", "r1/*", true},     {"r1/z1/s1", "*", true},      {"r1/z1/s1", "r1/z2", false},
    {"r1/z1/s1", "r2", false},      {"r1/z1", "r1/z1/s1", false},
};
TEST(Locality, PatternsMatch) {
  for (const auto& c : match_cases)
    EXPECT_EQ(matches(Locality::parse(c.locality), c.pattern), c.expect)
        << c.locality << " " << c.pattern;
}

// "priority locality*weight: addresses" of each group that has endpoints.
std::string groups_text(const Cluster& cluster) {
  if (!cluster.load || cluster.load->groups.empty()) return "all alike";
  std::string out;
  const auto& groups = cluster.load->groups;
  std::map<std::string, std::string> lines;
  for (const auto& endpoint : cluster.endpoints) {
    const auto& group = groups.at(endpoint.group);
    auto& line = lines[std::to_string(group.priority) + " " + group.locality + "*" +
                       std::to_string(group.weight)];
    line += " " + endpoint.ip.text().substr(8);
  }
  for (const auto& [name, addresses] : lines) out += name + ":" + addresses + "; ";
  return out;
}

struct Case {
  const char* name;
  std::string here;    // the proxy's locality
  std::string policy;  // of the rule
  std::string expect;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
// Endpoints: .1 r1/z1/s1, .2 r1/z1/s2 (version v1), .3 r1/z2, .4 r2/z1 (weight 3), .5 r3/z1
const std::string outlier = "outlierDetection: {}";
std::string setting(const std::string& text) {
  return "loadBalancer: {localityLbSetting: {" + text + "}}, ";
}
const Case cases[] = {
    {"without outlier detection nothing fails over", "r1/z1/s1", "loadBalancer: {simple: RANDOM}",
     "all alike"},
    {"a proxy that knows no locality has none near", "", outlier, "all alike"},
    {"with outlier detection: subzone, zone, region, the rest", "r1/z1/s1", outlier,
     "0 r1/z1/s1*0: 1; 1 r1/z1/s2*0: 2; 2 r1/z2*0: 3; 3 r2/z1*0: 4; 3 r3/z1*0: 5; "},
    {"priorities have no gaps", "r2/z9", outlier,
     "0 r2/z1*0: 4; 1 r1/z1/s1*0: 1; 1 r1/z1/s2*0: 2; 1 r1/z2*0: 3; 1 r3/z1*0: 5; "},
    {"switched off", "r1/z1/s1", setting("enabled: false") + outlier, "all alike"},
    {"failover names the region that comes next", "r1/z1/s1",
     setting("failover: [{from: r1, to: r3}]") + outlier,
     "0 r1/z1/s1*0: 1; 1 r1/z1/s2*0: 2; 2 r1/z2*0: 3; 3 r3/z1*0: 5; 4 r2/z1*0: 4; "},
    {"failover of another region changes nothing", "r1/z1/s1",
     setting("failover: [{from: r2, to: r3}]") + outlier,
     "0 r1/z1/s1*0: 1; 1 r1/z1/s2*0: 2; 2 r1/z2*0: 3; 3 r2/z1*0: 4; 3 r3/z1*0: 5; "},
    {"failoverPriority: those with the proxy's label first", "",
     setting("failoverPriority: [version]") + outlier,
     "0 r1/z1/s2*0: 2; 1 r1/z1/s1*0: 1; 1 r1/z2*0: 3; 1 r2/z1*0: 4; 1 r3/z1*0: 5; "},
    {"failoverPriority: a value of its own, a topology label", "r1/z1/s1",
     setting("failoverPriority: [topology.kubernetes.io/region, 'version=v1']") + outlier,
     "0 r1/z1/s2*0: 2; 1 r1/z1/s1*0: 1; 1 r1/z2*0: 3; 2 r2/z1*0: 4; 2 r3/z1*0: 5; "},
    {"distribute needs no outlier detection; who is not named is left out", "r1/z1/s1",
     setting("distribute: [{from: 'r1/*', to: {'r1/z1/*': 80, r2: 20}}]") + "tls: {mode: DISABLE}",
     "0 r1/z1/s1*40: 1; 0 r1/z1/s2*40: 2; 0 r2/z1*20: 4; "},
    {"distribute from elsewhere does not count", "r3/z1",
     setting("distribute: [{from: r1, to: {r1: 100}}]") + "tls: {mode: DISABLE}", "all alike"},
};
class LocalitySetting : public testing::TestWithParam<Case> {};
TEST_P(LocalitySetting, Groups) {
  const Case& c = GetParam();
  World world;
  if (!c.here.empty()) world.input.proxy.labels["topology.istio.io/locality"] = c.here;
  world
      .add(entry({"a.example",
                  "default",
                  "STATIC",
                  {"80 HTTP"},
                  "  endpoints:\n  - {address: 192.0.2.1, locality: r1/z1/s1}\n"
                  "  - {address: 192.0.2.2, locality: r1/z1/s2, labels: {version: v1}}\n"
                  "  - {address: 192.0.2.3, labels: {istio-locality: r1.z2}}\n"
                  "  - {address: 192.0.2.4, locality: r2/z1, weight: 3}\n"
                  "  - {address: 192.0.2.5, locality: r3/z1}\n"}))
      .add(rule({"a.example", "rule", "default", c.policy}))
      .compile();
  ASSERT_TRUE(world.input.refused.empty()) << world.input.refused[0].finding.text();
  EXPECT_EQ(groups_text(*world.cluster("outbound|80||a.example")), c.expect) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, LocalitySetting, testing::ValuesIn(cases));

TEST(LocalitySetting, OfTheMeshCountsWhereTheRuleHasNone) {
  World world;
  world.input.proxy.labels["istio-locality"] = "r1";
  world.input.mesh.locality = istio::LocalityLb{.enabled = false};
  world
      .add(entry({"a.example",
                  "default",
                  "STATIC",
                  {"80 HTTP"},
                  "  endpoints: [{address: 192.0.2.1, locality: r1}, {address: 192.0.2.2, "
                  "locality: r2}]\n"}))
      .add(rule({"a.example", "rule", "default", outlier}))
      .compile();
  EXPECT_EQ(groups_text(*world.cluster("outbound|80||a.example")), "all alike");
  World other = world;
  other.add(rule({"a.example", "other", "default", setting("enabled: true") + outlier}));
  other.input.resources.erase(other.input.resources.begin() + 1);
  EXPECT_EQ(groups_text(*other.compile().cluster("outbound|80||a.example")),
            "0 r1*0: 1; 1 r2*0: 2; ");
}

}  // namespace
}  // namespace sallyport::mesh
