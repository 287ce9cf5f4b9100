// What Telemetry says of the standard metrics (istio-api.md 1.10,
// istio/istio:pilot/pkg/model/telemetry.go, mergeMetrics), and who an endpoint is.
#include "agent/mesh/telemetry_metrics.h"
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

// A Telemetry `where` ("foo/name") with the metrics `entries`, in flow style on line 5.
std::string metrics(std::string_view where, const std::string& entries,
                    const std::string& selector = "") {
  const auto slash = where.find('/');
  return "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {namespace: " +
         std::string(where.substr(0, slash)) + ", name: " + std::string(where.substr(slash + 1)) +
         "}\nspec: {" + selector + "metrics: [" + entries + "]}\n";
}
std::string overriding(const std::string& overrides) { return "{overrides: [" + overrides + "]}"; }
const std::string all_off = "{disabled: true}";

struct Merged {
  std::shared_ptr<const StandardMetricsConfig> config;
  std::string findings;
};

// As app=web in foo sees it.
Merged merge(const std::string& yaml, std::string_view mesh = "") {
  World world;
  world.input.mesh = istio::decode_mesh_config(std::string(mesh), "mesh").config;
  world.input.proxy.namespace_name = "foo";
  world.input.proxy.labels = {{"app", "web"}};
  world.add(yaml);
  std::vector<istio::Finding> findings;
  Merged out{standard_metrics(world.input, findings), ""};
  for (const auto& finding : findings) out.findings += finding.text() + "\n";
  return out;
}

// "REQUEST_COUNT: disabled" as 1: off, and tags as name=expression or -name.
std::string of(const MetricsOfSide& side, istio::IstioMetric metric) {
  if (!side.enabled) return "off";
  const auto& settings = side.metrics[static_cast<std::size_t>(metric)];
  std::string out = settings.disabled ? "disabled" : "on";
  for (const auto& tag : settings.tags)
    out += tag.remove ? " -" + tag.name : " " + tag.name + "=" + tag.expression;
  return out;
}

struct Case {
  const char* rule;
  std::string yaml;
  std::string client_requests, server_requests, client_bytes;
  std::string mesh = "";
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }
class Metrics : public testing::TestWithParam<Case> {};
TEST_P(Metrics, OfAProxy) {
  const Case& c = GetParam();
  const auto config = merge(c.yaml, c.mesh).config;
  using istio::IstioMetric;
  EXPECT_EQ(of(config->client, IstioMetric::request_count), c.client_requests);
  EXPECT_EQ(of(config->server, IstioMetric::request_count), c.server_requests);
  EXPECT_EQ(of(config->client, IstioMetric::tcp_sent_bytes), c.client_bytes);
}

const std::string count_off = "{match: {metric: REQUEST_COUNT}, disabled: true}";
const Case cases[] = {
    {"nothing said: prometheus, as with the Helm chart", "", "on", "on", "on"},
    {"another default provider: none", "", "off", "off", "off",
     "defaultProviders: {metrics: [stackdriver]}\n"},
    {"asked for where the default is another",
     metrics("foo/a", "{providers: [{name: prometheus}]}"), "on", "on", "on",
     "defaultProviders: {metrics: [stackdriver]}\n"},
    {"a provider of its own name", metrics("foo/a", "{providers: [{name: mine}]}"), "on", "on",
     "on", "extensionProviders: [{name: mine, prometheus: {}}]\n"},
    {"everything off", metrics("foo/a", overriding(all_off)), "off", "off", "off"},
    {"off for servers", metrics("foo/a", overriding("{match: {mode: SERVER}, disabled: true}")),
     "on", "off", "on"},
    {"one metric off", metrics("foo/a", overriding(count_off)), "disabled", "disabled", "on"},
    {"off in the mesh, one on in the namespace: all are on again",
     metrics("istio-system/m", overriding(all_off)) +
         metrics("foo/a", overriding("{match: {metric: TCP_SENT_BYTES}, disabled: false}")),
     "on", "on", "on"},
    {"on again for the workload",
     metrics("foo/a", overriding(count_off)) +
         metrics("foo/w", overriding("{match: {metric: REQUEST_COUNT}, disabled: false}"),
                 "selector: {matchLabels: {app: web}}, "),
     "on", "on", "on"},
    {"of another workload",
     metrics("foo/w", overriding(all_off), "selector: {matchLabels: {app: x}}, "), "on", "on",
     "on"},
    {"labels of all metrics, and of one",
     metrics("foo/a", overriding("{tagOverrides: {z: {value: request.host}}}, {match: {metric: "
                                 "REQUEST_COUNT, mode: CLIENT}, tagOverrides: {response_flags: "
                                 "{operation: REMOVE}}}")),
     "on -response_flags z=request.host", "on z=request.host", "on z=request.host"},
    {"the narrower scope's label counts",
     metrics("istio-system/m", overriding("{tagOverrides: {z: {value: request.host}}}")) +
         metrics("foo/a", overriding("{tagOverrides: {z: {operation: REMOVE}}}")),
     "on -z", "on -z", "on -z"},
};
INSTANTIATE_TEST_SUITE_P(Spec, Metrics, testing::ValuesIn(cases));

TEST(MetricsConfig, TheReportingIntervalIsFiveSecondsUnlessSaidOtherwise) {
  EXPECT_EQ(merge("").config->reporting_interval, std::chrono::seconds(5));
  EXPECT_EQ(merge(metrics("foo/a", "{reportingInterval: 30s}")).config->reporting_interval,
            std::chrono::seconds(30));
}

TEST(MetricsConfig, WhatHasNoEffectIsTold) {
  const auto said = [](const std::string& entry) {
    return merge(metrics("foo/a", entry)).findings;
  };
  EXPECT_NE(said("{providers: [{name: nobody}]}").find("no provider \"nobody\""),
            std::string::npos);
  EXPECT_NE(said("{providers: [{name: stackdriver}]}").find("for prometheus only"),
            std::string::npos);
  EXPECT_NE(said(overriding("{match: {customMetric: mine}}")).find("standard metrics only"),
            std::string::npos);
  EXPECT_NE(said(overriding("{match: {metric: GRPC_REQUEST_MESSAGES}}")).find("gRPC"),
            std::string::npos);
  EXPECT_EQ(said(overriding(count_off)), "");
}

const std::string app_service =
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: app, namespace: default}\n"
    "spec: {clusterIP: 10.96.0.1, selector: {app: app}, ports: [{name: http, port: 80}]}\n";

std::string app_pod(const std::string& labels, const std::string& more) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: app-7d9-x, namespace: default, labels: "
         "{app: app" +
         labels + "}" + more + "}\nspec: {containers: [{name: c}]}\nstatus: {podIP: 10.0.0.9}\n";
}

const WorkloadFacts* app_endpoint(World& world) {
  const auto* cluster = world.compile().cluster("outbound|80||app.default.svc.cluster.local");
  if (!cluster || cluster->endpoints.size() != 1) return nullptr;
  const auto& workload = cluster->endpoints[0].workload;
  return workload ? &*workload : nullptr;
}

TEST(Workload, OfAPodIsItsDeployment) {
  World world;
  world.add(app_service)
      .add(app_pod(", version: v2, pod-template-hash: 7d9",
                   ", ownerReferences: [{kind: ReplicaSet, name: app-7d9, controller: true}]"));
  const auto* facts = app_endpoint(world);
  ASSERT_TRUE(facts);
  EXPECT_EQ(*facts, (WorkloadFacts{"app", "default", "app", "v2", "app", "v2"}));
}

TEST(Workload, OfAPodWithoutAnOwnerIsThePod) {
  World world;
  world.add(app_service).add(app_pod("", ""));
  const auto* facts = app_endpoint(world);
  ASSERT_TRUE(facts);
  EXPECT_EQ(*facts, (WorkloadFacts{"app-7d9-x", "default", "app", "", "app", "latest"}));
}

TEST(Workload, LabelsOfIstioCountBeforeKubernetesOwn) {
  const auto facts = workload_facts({{"app", "a"},
                                     {"version", "v"},
                                     {"app.kubernetes.io/name", "k"},
                                     {"service.istio.io/canonical-name", "i"},
                                     {"service.istio.io/canonical-revision", "r"}},
                                    "w", "ns");
  EXPECT_EQ(facts, (WorkloadFacts{"w", "ns", "a", "v", "i", "r"}));
  EXPECT_EQ(workload_facts({}, "w", "ns"), (WorkloadFacts{"w", "ns", "", "", "w", "latest"}));
}

TEST(Workload, OfAnAddressInAServiceEntryIsNotKnown) {
  World world;
  world.add(
      "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\n"
      "spec: {hosts: [e.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: "
      "STATIC, endpoints: [{address: 10.0.0.1}]}\n");
  const auto* cluster = world.compile().cluster("outbound|80||e.test");
  ASSERT_TRUE(cluster);
  EXPECT_FALSE(cluster->endpoints.at(0).workload);
}

}  // namespace
}  // namespace sallyport::mesh
