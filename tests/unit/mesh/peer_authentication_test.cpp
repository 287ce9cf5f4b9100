// PeerAuthentication's precedence (istio-api.md 1.7, 2.11): mesh, namespace, the oldest policy that
// selects the workload, then its port; UNSET inherits. Fail closed: a broken one counts where a
// good one in its place would be asked.
#include "agent/mesh/peer_authentication.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

using istio::MutualTls;

// A PeerAuthentication `where` ("foo/name") of `spec`, in flow style on line 4.
std::string policy(std::string_view where, const std::string& spec) {
  const auto slash = where.find('/');
  return "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {namespace: " +
         std::string(where.substr(0, slash)) + ", name: " + std::string(where.substr(slash + 1)) +
         "}\nspec: " + spec + "\n";
}
const std::string web = "selector: {matchLabels: {app: web}}";
std::string mode(const std::string& name) { return "mtls: {mode: " + name + "}"; }
std::string only(const std::string& fields) { return "{" + fields + "}"; }

std::string text(const MutualTlsChoice& choice) {
  constexpr std::string_view names[] = {"UNSET", "DISABLE", "PERMISSIVE", "STRICT"};
  std::string out(choice.refused ? "refused" : names[static_cast<std::size_t>(choice.mode)]);
  return choice.from ? out + " by " + choice.from->namespace_name + '/' + choice.from->name : out;
}

struct Case {
  const char* rule;
  std::string yaml;
  std::string expect;  // of the workload app=web in foo, port 8080
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }
const std::string strict_mesh = policy("istio-system/mesh", only(mode("STRICT")));
const std::string disabled_namespace = policy("foo/ns", only(mode("DISABLE")));

const Case cases[] = {
    {"nothing said: PERMISSIVE", "", "PERMISSIVE"},
    {"the mesh's", strict_mesh, "STRICT by istio-system/mesh"},
    {"the mesh's UNSET is PERMISSIVE", policy("istio-system/mesh", only(mode("UNSET"))),
     "PERMISSIVE"},
    {"the namespace's over the mesh's", strict_mesh + disabled_namespace, "DISABLE by foo/ns"},
    {"another namespace's is not asked", strict_mesh + policy("bar/ns", only(mode("DISABLE"))),
     "STRICT by istio-system/mesh"},
    {"the namespace's UNSET inherits", strict_mesh + policy("foo/ns", "{}"),
     "STRICT by istio-system/mesh"},
    {"the workload's over the namespace's",
     disabled_namespace + policy("foo/web", only(web + ", " + mode("STRICT"))),
     "STRICT by foo/web"},
    {"the workload's UNSET inherits", disabled_namespace + policy("foo/web", only(web)),
     "DISABLE by foo/ns"},
    {"a selector of another workload is not asked",
     disabled_namespace +
         policy("foo/db", only("selector: {matchLabels: {app: db}}, " + mode("STRICT"))),
     "DISABLE by foo/ns"},
    {"every label of the selector is asked for",
     policy("foo/db", only("selector: {matchLabels: {app: web, v: '2'}}, " + mode("STRICT"))),
     "PERMISSIVE"},
    {"an empty selector is none",
     policy("foo/ns", only("selector: {matchLabels: {}}, " + mode("STRICT"))), "STRICT by foo/ns"},
    {"the port's over the workload's",
     policy("foo/web",
            only(web + ", " + mode("STRICT") + ", portLevelMtls: {8080: {mode: DISABLE}}")),
     "DISABLE by foo/web"},
    {"another port's is not asked",
     policy("foo/web",
            only(web + ", " + mode("STRICT") + ", portLevelMtls: {80: {mode: DISABLE}}")),
     "STRICT by foo/web"},
    {"the port's UNSET inherits of the workload's",
     policy("foo/web", only(web + ", " + mode("STRICT") + ", portLevelMtls: {8080: {}}")),
     "STRICT by foo/web"},
    {"the port's UNSET inherits of the namespace's through the workload's UNSET",
     disabled_namespace + policy("foo/web", only(web + ", portLevelMtls: {8080: {}}")),
     "DISABLE by foo/ns"},
    {"the oldest of the mesh", strict_mesh + policy("istio-system/b", only(mode("DISABLE"))),
     "STRICT by istio-system/mesh"},
    {"the oldest of the namespace", disabled_namespace + policy("foo/b", only(mode("STRICT"))),
     "DISABLE by foo/ns"},
    {"the oldest of the namespace is UNSET: the later one is not asked",
     strict_mesh + policy("foo/a", "{}") + policy("foo/b", only(mode("DISABLE"))),
     "STRICT by istio-system/mesh"},
    {"the oldest that selects the workload, ports included",
     policy("foo/a", only(web + ", " + mode("STRICT"))) +
         policy("foo/b", only(web + ", " + mode("DISABLE") + ", portLevelMtls: {8080: {}}")),
     "STRICT by foo/a"},
    {"with a selector in the root namespace: nobody's",
     policy("istio-system/web", only(web + ", " + mode("STRICT"))), "PERMISSIVE"},

    {"broken for the workload", policy("foo/web", only(web + ", mtls: {mode: NONE}")),
     "refused by foo/web"},
    {"broken for the workload beside a good one",
     policy("foo/a", only(web + ", " + mode("STRICT"))) +
         policy("foo/web", only(web + ", mtls: {mode: NONE}")),
     "refused by foo/web"},
    {"broken for another workload",
     policy("foo/db", only("selector: {matchLabels: {app: db}}, mtls: {mode: NONE}")),
     "PERMISSIVE"},
    {"broken for the namespace", policy("foo/ns", only("mtls: {mode: NONE}")), "refused by foo/ns"},
    {"broken for the namespace, decided for the workload",
     policy("foo/ns", only("mtls: {mode: NONE}")) +
         policy("foo/web", only(web + ", " + mode("PERMISSIVE"))),
     "PERMISSIVE by foo/web"},
    {"broken for the namespace beside a good one: it may be the older",
     disabled_namespace + policy("foo/b", only("mtls: {mode: NONE}")), "refused by foo/b"},
    {"broken for another namespace", policy("bar/ns", only("mtls: {mode: NONE}")), "PERMISSIVE"},
    {"broken for the mesh", policy("istio-system/m", only("mtls: {mode: NONE}")),
     "refused by istio-system/m"},
    {"broken for the mesh, decided for the namespace",
     policy("istio-system/m", only("mtls: {mode: NONE}")) + disabled_namespace,
     "DISABLE by foo/ns"},
    {"broken in the root namespace with a selector: nobody's",
     policy("istio-system/m", only(web + ", mtls: {mode: NONE}")), "PERMISSIVE"},
    {"broken where not even the selector can be read",
     policy("foo/torn", "{" + web + ", mtls: {mode: STRICT"), "refused by foo/torn"},
};
class PeerAuthenticationPrecedence : public testing::TestWithParam<Case> {};
TEST_P(PeerAuthenticationPrecedence, Decides) {
  World world;
  world.add(GetParam().yaml);
  const PeerAuthentications policies(world.input);
  EXPECT_EQ(text(policies.of_workload("foo", {{"app", "web"}, {"v", "1"}}, 8080)),
            GetParam().expect);
}
INSTANTIATE_TEST_SUITE_P(Spec, PeerAuthenticationPrecedence, testing::ValuesIn(cases));

TEST(PeerAuthentications, OfANamespaceAskNoWorkloadsPolicy) {
  World world;
  world.add(strict_mesh + disabled_namespace +
            policy("bar/web", only(web + ", " + mode("DISABLE"))));
  const PeerAuthentications policies(world.input);
  EXPECT_EQ(text(policies.of_namespace("foo")), "DISABLE by foo/ns");
  EXPECT_EQ(text(policies.of_namespace("bar")), "STRICT by istio-system/mesh");
}

TEST(PeerAuthentications, KnowThePortsOfTheWorkloadsOwnPolicy) {
  World world;
  world.add(policy("foo/web", only(web + ", portLevelMtls: {80: {}, 9000: {mode: STRICT}}")) +
            policy("foo/late", only(web + ", portLevelMtls: {70: {}}")));
  const PeerAuthentications policies(world.input);
  EXPECT_EQ(policies.ports_of("foo", {{"app", "web"}}), (std::vector<uint16_t>{80, 9000}));
  EXPECT_TRUE(policies.ports_of("foo", {{"app", "db"}}).empty());
  EXPECT_TRUE(policies.ports_of("bar", {{"app", "web"}}).empty());
}

TEST(PeerAuthentications, NameTheLineOfTheMode) {
  World world;
  world.add(
      "kind: PeerAuthentication\napiVersion: security.istio.io/v1\n"
      "metadata: {name: x, namespace: foo}\nspec:\n  selector: {matchLabels: {app: web}}\n"
      "  mtls:\n    mode: STRICT\n  portLevelMtls:\n    80:\n      mode: DISABLE\n");
  const PeerAuthentications policies(world.input);
  const istio::Labels labels{{"app", "web"}};
  EXPECT_EQ(policies.of_workload("foo", labels, 0).from->text(),
            "PeerAuthentication foo/x (rules.yaml:7)");
  EXPECT_EQ(policies.of_workload("foo", labels, 80).from->line, 10);
  const PeerAuthentications again(world.input);
  EXPECT_EQ(policies.of_workload("foo", labels, 80), again.of_workload("foo", labels, 80))
      << "what did not change is equal, so that parts of a snapshot are shared";
}

TEST(PeerAuthentications, GiveTheReasonOfABrokenOne) {
  World world;
  world.add(policy("foo/ns", only("mtls: {mode: NONE}")));
  const auto choice = PeerAuthentications(world.input).of_workload("foo", {}, 0);
  ASSERT_TRUE(choice.refused);
  EXPECT_EQ(choice.refused->fault, Fault::denied);
  EXPECT_EQ(
      choice.refused->context,
      "nobody is let in: rules.yaml:5: PeerAuthentication foo/ns: spec.mtls.mode: unsupported "
      "value \"NONE\", supported: UNSET, DISABLE, PERMISSIVE, STRICT");
  EXPECT_EQ(choice.refused->resource, "PeerAuthentication foo/ns (rules.yaml:2)");
  EXPECT_EQ(choice.mode, MutualTls::strict) << "who asks nothing else sends no plaintext";
}

TEST(PeerAuthentications, SayWhichHaveNoEffect) {
  World world;
  world.add(strict_mesh + policy("istio-system/b", only(mode("DISABLE"))) + disabled_namespace +
            policy("foo/b", "{}") + policy("istio-system/web", only(web)));
  std::vector<istio::Finding> findings;
  PeerAuthentications(world.input).report(findings);
  std::string all;
  for (const auto& finding : findings) all += finding.text() + "\n";
  EXPECT_EQ(all,
            "rules.yaml:17: warning: PeerAuthentication foo/b: spec.selector: has no effect: "
            "PeerAuthentication foo/ns (rules.yaml:12) is older, and a namespace has one mode\n"
            "rules.yaml:7: warning: PeerAuthentication istio-system/b: spec.selector: has no "
            "effect: PeerAuthentication istio-system/mesh (rules.yaml:2) is older, and the mesh "
            "has one mode\n"
            "rules.yaml:22: warning: PeerAuthentication istio-system/web: spec.selector: has no "
            "effect: in the root namespace only a policy without a selector counts\n");
}

}  // namespace
}  // namespace sallyport::mesh
