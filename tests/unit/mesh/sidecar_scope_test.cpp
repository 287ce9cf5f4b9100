// Sidecar: which one is this proxy's, and what it sees then (istio-api.md 1.6;
// istio/istio:pilot/pkg/model/sidecar.go).
#include "agent/mesh/sidecar_scope.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

std::string sidecar(const std::string& name, const std::string& space, const std::string& spec) {
  return "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " + name +
         ", namespace: " + space + "}\nspec: {" + spec + "}\n---\n";
}
const std::string all = "egress: [{hosts: ['*/*']}]";
const std::string ours = ", workloadSelector: {labels: {app: sleep}}",
                  others = ", workloadSelector: {labels: {app: other}}";

struct ChoiceCase {
  const char* name;
  std::string resources, chosen;
};
const ChoiceCase choice_cases[] = {
    {"none", "", ""},
    {"that of the namespace", sidecar("a", "default", all), "a"},
    {"not that of another", sidecar("a", "elsewhere", all), ""},
    {"one with our labels before an older one without",
     sidecar("a", "default", all) + sidecar("b", "default", all + ours), "b"},
    {"the oldest of equals",
     sidecar("a", "default", all + ours) + sidecar("b", "default", all + ours), "a"},
    {"one with other labels is nobody's here", sidecar("a", "default", all + others), ""},
    {"the root namespace's, where our own has none", sidecar("r", "istio-system", all), "r"},
    {"our own before the root namespace's",
     sidecar("r", "istio-system", all) + sidecar("a", "default", all), "a"},
    {"a selector in the root namespace selects nothing elsewhere",
     sidecar("r", "istio-system", all + ours), ""},
};
TEST(ChosenSidecar, IsTheMostSpecificThenTheOldest) {
  for (const auto& c : choice_cases) {
    World world;
    world.add(c.resources);
    const auto* chosen = chosen_sidecar(world.input);
    EXPECT_EQ(chosen ? chosen->metadata.name() : "", c.chosen) << c.name;
  }
}

struct HostCase {
  const char* name;
  const char* egress;
  std::string host, space;
  uint16_t port;
  bool seen;
};
const HostCase host_cases[] = {
    {"everything", "{hosts: ['*/*']}", "a.b", "x", 80, true},
    {"our namespace", "{hosts: ['./*']}", "a.b", "default", 80, true},
    {"not another's", "{hosts: ['./*']}", "a.b", "x", 80, false},
    {"a namespace by name", "{hosts: ['x/*']}", "a.b", "x", 80, true},
    {"one host", "{hosts: ['x/a.b']}", "a.b", "x", 80, true},
    {"and no other", "{hosts: ['x/a.b']}", "c.b", "x", 80, false},
    {"in any namespace", "{hosts: ['*/a.b']}", "a.b", "x", 80, true},
    {"by suffix", "{hosts: ['*/*.b']}", "a.b", "x", 80, true},
    {"a suffix is not the name itself", "{hosts: ['*/*.a.b']}", "a.b", "x", 80, false},
    {"a wildcard service by its own wildcard", "{hosts: ['*/*.b']}", "*.b", "x", 80, true},
    {"a wildcard service is not one of its hosts", "{hosts: ['*/a.b']}", "*.b", "x", 80, false},
    {"nothing", "{hosts: ['~/*']}", "a.b", "x", 80, false},
    {"a namespace left out", "{hosts: ['*/*', '~x/*']}", "a.b", "x", 80, false},
    {"and the others in", "{hosts: ['*/*', '~x/*']}", "a.b", "y", 80, true},
    {"the listener of the port decides",
     "{port: {number: 80, protocol: HTTP}, hosts: ['x/*']}, {hosts: ['y/*']}", "a.b", "x", 80,
     true},
    {"and not the one for the rest",
     "{port: {number: 80, protocol: HTTP}, hosts: ['x/*']}, {hosts: ['y/*']}", "a.b", "y", 80,
     false},
    {"which has the other ports",
     "{port: {number: 80, protocol: HTTP}, hosts: ['x/*']}, {hosts: ['y/*']}", "a.b", "y", 81,
     true},
    {"without one for the rest there are none",
     "{port: {number: 80, protocol: HTTP}, hosts: ['x/*']}", "a.b", "x", 81, false},
};
TEST(SidecarScope, SeesTheServicesOfItsEgressHosts) {
  for (const auto& c : host_cases) {
    World world;
    world.add(sidecar("a", "default", "egress: [" + std::string(c.egress) + "]"));
    EXPECT_EQ(SidecarScope(world.input).sees_service(c.host, c.space, c.port), c.seen) << c.name;
  }
}

struct PolicyCase {
  const char* name;
  std::string resources;
  bool registry_only_mesh, allow_any;
};
const PolicyCase policy_cases[] = {
    {"the mesh's without a Sidecar", "", false, true},
    {"the mesh's where the Sidecar says nothing", sidecar("a", "default", all), true, false},
    {"ALLOW_ANY opens what the mesh closes",
     sidecar("a", "default", "outboundTrafficPolicy: {mode: ALLOW_ANY}"), true, true},
    {"given without a mode it is REGISTRY_ONLY",
     sidecar("a", "default", "outboundTrafficPolicy: {}"), false, false},
    {"a refused one closes, since nobody knows what it said",
     sidecar("a", "default", "outboundTrafficPolicy: {mode: REGISTRY}"), false, false},
    {"beside a good one too",
     sidecar("a", "default", all) + sidecar("b", "default", "outboundTrafficPolicy: {mode: X}"),
     false, false},
    {"not one for others", sidecar("a", "default", "outboundTrafficPolicy: {mode: X}" + others),
     false, true},
    {"not one of another namespace", sidecar("a", "x", "outboundTrafficPolicy: {mode: X}"), false,
     true},
    {"one of the root namespace, which would have been ours",
     sidecar("a", "istio-system", "outboundTrafficPolicy: {mode: X}"), false, false},
    {"but not where our own is",
     sidecar("a", "istio-system", "outboundTrafficPolicy: {mode: X}") +
         sidecar("b", "default", all),
     false, true},
};
TEST(SidecarScope, DecidesAboutTheUnknown) {
  for (const auto& c : policy_cases) {
    World world;
    if (c.registry_only_mesh) world.registry_only();
    world.add(c.resources).compile();
    EXPECT_EQ(world.bytes("203.0.113.1:9999").cluster,
              c.allow_any ? "PassthroughCluster" : "BlackHoleCluster")
        << c.name;
  }
}

TEST(SidecarScope, LimitsServicesRoutesAndRules) {
  World world;
  world.add(entry({"a.example", "x"}))
      .add(entry({"b.example", "z"}))
      .add(sidecar("s", "default", "egress: [{hosts: ['x/*']}]"))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "a.example").cluster, "outbound|80||a.example");
  EXPECT_EQ(world.http("203.0.113.1:80", "b.example").cluster, "PassthroughCluster");
  EXPECT_FALSE(world.cluster("outbound|80||b.example"));
}

TEST(SidecarScope, WhatASeenVirtualServiceLeadsToHasAClusterAndNoRouteOfItsOwn) {
  World world;
  world.add(entry({"a.example", "x"}))
      .add(entry({"b.example", "z"}))
      .add(
          "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, "
          "namespace: x}\nspec: {hosts: [a.example], http: [{route: [{destination: {host: "
          "b.example, port: {number: 80}}}]}]}\n---\n")
      .add(sidecar("s", "default", "egress: [{hosts: ['x/*']}]"))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "a.example").cluster, "outbound|80||b.example");
  EXPECT_EQ(world.http("203.0.113.1:80", "b.example").cluster, "PassthroughCluster");
}

TEST(SidecarScope, AVirtualServiceThatIsNotImportedHasNoEffect) {
  World world;
  world.add(entry({"a.example", "x"}))
      .add(
          "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, "
          "namespace: z}\nspec: {hosts: [a.example], http: [{redirect: {uri: /}}]}\n---\n")
      .add(sidecar("s", "default", "egress: [{hosts: ['x/*']}]"))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "a.example").cluster, "outbound|80||a.example");
}

}  // namespace
}  // namespace sallyport::mesh
