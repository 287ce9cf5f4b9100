// Who serves a service: Pods, EndpointSlices and WorkloadEntries become its endpoints
// (istio-api.md 1.1, 1.2; istio/istio:pilot/pkg/serviceregistry).
#include "tests/unit/mesh/mesh_documents.h"

namespace sallyport::mesh {
namespace {

struct Case {
  const char* name;
  std::string resources;
  std::string cluster, endpoints;
};

const std::string web = "outbound|80||web.default.svc.cluster.local";
const Case cases[] = {
    {"pods that the selector takes, at the targetPort",
     web_service() + pod({"a", "10.0.0.1"}) + pod({"b", "10.0.0.2"}), web,
     "10.0.0.1:8080 10.0.0.2:8080"},
    {"not those with other labels",
     web_service() + pod({"a", "10.0.0.1"}) + pod({"b", "10.0.0.2", "app: other"}), web,
     "10.0.0.1:8080"},
    {"nor those of another namespace",
     web_service() + pod({"a", "10.0.0.1"}) + pod({.name = "b", .ip = "10.0.0.2", .space = "x"}),
     web, "10.0.0.1:8080"},
    {"nor those that are not ready, or over",
     web_service() + pod({"a", "10.0.0.1"}) +
         pod({.name = "b",
              .ip = "10.0.0.2",
              .status = "conditions: [{type: Ready, status: 'False'}]"}) +
         pod({.name = "c", .ip = "10.0.0.3", .status = "phase: Succeeded"}),
     web, "10.0.0.1:8080"},
    {"a named targetPort is the pod's own container's",
     web_service("{port: 80, name: http, targetPort: web}") +
         pod({.name = "a", .ip = "10.0.0.1", .ports = "{name: web, containerPort: 1111}"}) +
         pod({.name = "b", .ip = "10.0.0.2", .ports = "{name: web, containerPort: 2222}"}) +
         pod({"c", "10.0.0.3"}),
     web, "10.0.0.1:1111 10.0.0.2:2222"},
    {"without a targetPort, the port",
     web_service("{port: 80, name: http}") + pod({"a", "10.0.0.1"}), web, "10.0.0.1:80"},
    {"a pod that is not placed yet is none",
     web_service() + pod({"a", ""}) + pod({"b", "10.0.0.2"}), web, "10.0.0.2:8080"},
    {"of two families the one that the proxy has",
     web_service() + pod({"a", "2001:db8::1, 10.0.0.1"}), web, "10.0.0.1:8080"},
    {"pods of the namespace are known, none is selected: nobody serves it",
     web_service() + pod({"b", "10.0.0.2", "app: other"}), web, ""},
    {"neither pods nor slices: the Service's own address stands for them", web_service(), web,
     "10.9.0.1:80"},
    {"slices come before pods",
     web_service() + pod({"a", "10.0.0.1"}) +
         slice("web", "{addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}",
               "{name: http, port: 7070}"),
     web, "10.0.0.1:7070"},
    {"an endpoint of a slice that is not ready is left out",
     web_service() + slice("web",
                           "{addresses: [10.0.0.1]}, "
                           "{addresses: [10.0.0.2], conditions: {ready: false}}",
                           "{name: http, port: 7070}"),
     web, "10.0.0.1:7070"},
    {"a slice without endpoints: nobody", web_service() + slice("web", "", "{name: http, port: 1}"),
     web, ""},
    {"a slice whose ports have other names does not serve this one",
     web_service() + slice("web", "{addresses: [10.0.0.1]}", "{name: admin, port: 1}"), web, ""},
    {"an endpoint whose Pod nobody has seen is left out",
     web_service() + slice("web",
                           "{addresses: [10.0.0.1], targetRef: {kind: Pod, name: unseen}}, "
                           "{addresses: [10.0.0.2]}",
                           "{name: http, port: 7070}"),
     web, "10.0.0.2:7070"},
    {"WorkloadEntries that a Service selects",
     web_service() + pod({"a", "10.0.0.1"}) +
         workload("vm", "address: 10.0.0.9, labels: {app: web}, ports: {http: 99}"),
     web, "10.0.0.1:8080 10.0.0.9:99"},
    {"a ServiceEntry selects pods too, at their ports of that name",
     entry({"vm.example",
            "default",
            "STATIC",
            {"80 HTTP 8081"},
            "  location: MESH_INTERNAL\n  workloadSelector: {labels: {app: web}}\n"}) +
         pod({"a", "10.0.0.1"}) +
         pod({.name = "b", .ip = "10.0.0.2", .ports = "{name: p80, containerPort: 9999}"}) +
         workload("vm", "address: 10.0.0.9, labels: {app: web}"),
     "outbound|80||vm.example", "10.0.0.9:8081 10.0.0.1:8081 10.0.0.2:9999"},
    {"subsets are told apart by the pods' labels",
     web_service() + pod({"a", "10.0.0.1", "app: web, version: v1"}) +
         pod({"b", "10.0.0.2", "app: web, version: v2"}) +
         rule(
             {"web", "subsets", "default", "", "  subsets: [{name: v2, labels: {version: v2}}]\n"}),
     "outbound|80|v2|web.default.svc.cluster.local", "10.0.0.2:8080"},
};

TEST(ServiceWorkloads, BecomeEndpoints) {
  for (const auto& c : cases) {
    World world;
    world.add(c.resources).compile();
    EXPECT_EQ(endpoints(world, c.cluster), c.endpoints) << c.name << "\n" << world.findings();
  }
}

TEST(ServiceWorkloads, WhoIsSelectedButNotReadyIsNamedWhereNobodyIs) {
  const std::string waiting = "conditions: [{type: Ready, status: 'False'}]";
  World world;
  world.add(web_service() + pod({.name = "a", .ip = "10.0.0.1", .status = waiting})).compile();
  EXPECT_EQ(why_no_endpoint(*world.cluster(web)).find("no endpoint is ready, says Pod default/a"),
            0u)
      << why_no_endpoint(*world.cluster(web));
  World nobody;
  nobody.add(web_service() + pod({"b", "10.0.0.2", "app: other"})).compile();
  EXPECT_EQ(why_no_endpoint(*nobody.cluster(web)), "no endpoint is configured");
}

TEST(ServiceWorkloads, AHeadlessServiceGoesToTheDialledPod) {
  World world;
  world.add(web_service("{port: 80, name: http, targetPort: 8080}", "None"))
      .add(pod({"a", "10.0.0.1"}))
      .compile();
  const auto* cluster = world.cluster(web);
  ASSERT_TRUE(cluster);
  EXPECT_EQ(cluster->discovery, Discovery::original_dst);
}

TEST(ServiceWorkloads, TcpOfAHeadlessServiceIsToldByItsPodsAddresses) {
  World world;
  world.add(web_service("{port: 9000, name: tcp-db}", "None"))
      .add(pod({"a", "10.0.0.1"}))
      .compile();
  EXPECT_EQ(world.bytes("10.0.0.1:9000").cluster, "outbound|9000||web.default.svc.cluster.local");
  EXPECT_EQ(world.bytes("10.0.0.2:9000").cluster, "PassthroughCluster");
}

TEST(ServiceWorkloads, HaveTheLocalityOfTheirLabels) {
  World world;
  world.add(web_service()).add(pod({"a", "10.0.0.1", "app: web, istio-locality: r.z"})).compile();
  EXPECT_EQ(world.cluster(web)->endpoints.at(0).locality, "r/z");
}

TEST(ServiceWorkloads, APodThatComesOrGoesIsFollowedAndOthersKeepTheirClusters) {
  World world;
  world.add(web_service()).add(entry({"else.example"})).add(pod({"a", "10.0.0.1"})).compile();
  const auto* other = world.cluster("outbound|80||else.example");
  const auto* same = world.cluster(web);
  world.add(pod({"x", "10.0.0.7", "app: unrelated"})).compile();
  EXPECT_EQ(world.cluster(web), same) << "of equal content: the same object";
  world.add(pod({"b", "10.0.0.2"})).compile();
  EXPECT_EQ(endpoints(world, web), "10.0.0.1:8080 10.0.0.2:8080");
  EXPECT_EQ(world.cluster("outbound|80||else.example"), other);
  world.input.resources.pop_back();
  world.compile();
  EXPECT_EQ(endpoints(world, web), "10.0.0.1:8080");
}

}  // namespace
}  // namespace sallyport::mesh
