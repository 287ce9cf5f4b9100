// Which WorkloadEntries a ServiceEntry's workloadSelector takes, and what becomes of them
// (istio-api.md 1.1, 1.2, 7 "WorkloadEntry").
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

std::string selecting(const std::string& resolution = "STATIC") {
  return entry({"vm.example",
                "default",
                resolution,
                {"80 HTTP 8080"},
                "  workloadSelector: {labels: {app: vm}}\n"});
}

std::string workload(const std::string& name, const std::string& spec,
                     const std::string& metadata = "") {
  return "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: " + name +
         metadata + "}\nspec: {" + spec + "}\n---\n";
}

std::string endpoints(const World& world) {
  std::string out;
  const auto* cluster = world.cluster("outbound|80||vm.example");
  if (!cluster) return "no cluster";
  for (const auto& one : cluster->endpoints) {
    out += (out.empty() ? "" : " ") +
           (one.by_name() ? one.host + ":" + std::to_string(one.port) : one.address().text());
    if (one.weight != 1) out += "*" + std::to_string(one.weight);
  }
  return out;
}

struct Case {
  const char* name;
  std::string resources, resolution;
  std::string endpoints;
};
const Case cases[] = {
    {"by the spec's labels", workload("a", "address: 10.0.0.1, labels: {app: vm}"), "STATIC",
     "10.0.0.1:8080"},
    {"by the metadata's labels", workload("a", "address: 10.0.0.1", ", labels: {app: vm, more: x}"),
     "STATIC", "10.0.0.1:8080"},
    {"the metadata's labels override the spec's",
     workload("a", "address: 10.0.0.1, labels: {app: vm}", ", labels: {app: other}"), "STATIC", ""},
    {"one without the label is not taken", workload("a", "address: 10.0.0.1"), "STATIC", ""},
    {"nor one of another namespace",
     workload("a", "address: 10.0.0.1, labels: {app: vm}", ", namespace: elsewhere"), "STATIC", ""},
    {"several, with weights and ports of their own",
     workload("a", "address: 10.0.0.1, labels: {app: vm}, weight: 3") +
         workload("b", "address: 10.0.0.2, labels: {app: vm}, ports: {p80: 9090}"),
     "STATIC", "10.0.0.1:8080*3 10.0.0.2:9090"},
    {"a name, where names are resolved",
     workload("a", "address: VM.example.net, labels: {app: vm}"), "DNS", "vm.example.net:8080"},
    {"a unix socket", workload("a", "address: 'unix:///run/vm.sock', labels: {app: vm}"), "STATIC",
     "/run/vm.sock"},
    {"a unix socket is no name to resolve",
     workload("a", "address: 'unix:///run/vm.sock', labels: {app: vm}"), "DNS", ""},
    {"a name can't be an endpoint of STATIC",
     workload("a", "address: vm.example.net, labels: {app: vm}"), "STATIC", ""},
    {"a host whose selector takes none is not resolved itself", "", "DNS", ""},
};

TEST(WorkloadSelector, Takes) {
  for (const auto& c : cases) {
    World world;
    world.add(selecting(c.resolution)).add(c.resources).compile();
    EXPECT_EQ(endpoints(world), c.endpoints) << c.name << "\n" << world.findings();
    if (!c.endpoints.empty()) continue;
    EXPECT_NE(world.findings(), "") << c.name << ": and says so";
  }
}

TEST(WorkloadSelector, FollowsItsWorkloads) {
  World world;
  world.add(selecting()).add(workload("a", "address: 10.0.0.1, labels: {app: vm}")).compile();
  world.add(workload("b", "address: 10.0.0.2, labels: {app: vm}")).compile();
  EXPECT_EQ(endpoints(world), "10.0.0.1:8080 10.0.0.2:8080");
  world.input.resources.pop_back();
  world.compile();
  EXPECT_EQ(endpoints(world), "10.0.0.1:8080");
}

TEST(WorkloadSelector, SubsetsAreTakenFromTheSelected) {
  World world;
  world.add(selecting())
      .add(workload("a", "address: 10.0.0.1, labels: {app: vm, version: v1}"))
      .add(workload("b", "address: 10.0.0.2, labels: {app: vm, version: v2}"))
      .add(rule({"vm.example", "subsets", "default", "",
                 "  subsets: [{name: v2, labels: {version: v2}}]\n"}))
      .compile();
  const auto* subset = world.cluster("outbound|80|v2|vm.example");
  ASSERT_TRUE(subset && subset->endpoints.size() == 1);
  EXPECT_EQ(subset->endpoints[0].ip.text(), "10.0.0.2");
}

struct Bad {
  const char *spec, *reason;
};
const Bad bad[] = {
    {"labels: {app: vm}", "address is required"},
    {"address: not_a_name", "is not a valid FQDN or an IP address"},
    {"address: 'unix://relative'", "is not an absolute path to a file"},
    {"address: 'unix:///run/s', ports: {http: 80}", "must not include ports"},
    {"address: 10.0.0.1, ports: {http: 0}", "1..65535"},
};
TEST(WorkloadEntry, IsValidatedAsIstioDoes) {
  for (const auto& one : bad) {
    const auto decoded = istio::decode(workload("a", one.spec), "w.yaml");
    ASSERT_EQ(decoded.refused.size(), 1u) << one.spec;
    EXPECT_NE(decoded.refused[0].finding.text().find(one.reason), std::string::npos)
        << decoded.refused[0].finding.text();
  }
  EXPECT_TRUE(istio::decode(workload("a", "network: n1"), "w.yaml").refused.empty())
      << "of another network: without an address";
}

}  // namespace
}  // namespace sallyport::mesh
