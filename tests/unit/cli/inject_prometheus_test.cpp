// `sallyport inject` and Prometheus: the pod's annotations lead to the status port, and the sidecar
// knows where the application's own metrics are (Istio's applyPrometheusMerge).
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "agent/admin/app_metrics.h"
#include "agent/cli/inject_prometheus.h"
#include "agent/cli/injector.h"

namespace sallyport::cli {
namespace {

using Annotations = std::map<std::string, std::string>;

const Annotations ours = {{"prometheus.io/port", "15020"},
                          {"prometheus.io/path", "/stats/prometheus"},
                          {"prometheus.io/scrape", "true"}};

PrometheusMerge merged(const Annotations& annotations, bool enabled = true) {
  auto out = merge_prometheus(annotations, enabled, 15020);
  EXPECT_TRUE(out) << out.error().context;
  return out ? *out : PrometheusMerge();
}

TEST(InjectPrometheus, APodThatSaysNothingIsScrapedAtTheStatusPort) {
  const auto out = merged({});
  EXPECT_EQ(out.annotations, ours);
  EXPECT_EQ(out.app_metrics, "");
}

TEST(InjectPrometheus, WhatThePodSaysOfItsOwnMetricsGoesToTheSidecar) {
  const auto out = merged({{"prometheus.io/port", "8080"}, {"prometheus.io/scrape", "true"}});
  EXPECT_EQ(out.annotations, ours);
  EXPECT_EQ(out.app_metrics, R"({"scrape":"true","path":"","port":"8080"})");
}

TEST(InjectPrometheus, SeveralTargetsGoWithTheFirstInTheOldFields) {
  const auto out = merged({{"prometheus.istio.io/scrape-targets", "8080:/m, 9090"}});
  EXPECT_EQ(out.app_metrics,
            R"({"scrape":"","path":"/m","port":"8080",)"
            R"("targets":[{"port":"8080","path":"/m"},{"port":"9090","path":"/metrics"}]})");
}

TEST(InjectPrometheus, TheSidecarReadsWhatWasWritten) {
  const auto read = admin::decode_scrape_targets(
      merged({{"prometheus.istio.io/scrape-targets", "8080:/m,9090"}}).app_metrics, 15020);
  ASSERT_TRUE(read && read->size() == 2);
  EXPECT_EQ((*read)[1].port, 9090);
  EXPECT_EQ((*read)[0].path, "/m");
}

TEST(InjectPrometheus, AVariantOfANameTakesOurValueSincePrometheusPicksAnyOfThem) {
  const auto out = merged({{"prometheus_io_path", "/own"}});
  EXPECT_EQ(out.annotations.at("prometheus_io_path"), "/stats/prometheus");
  EXPECT_EQ(out.app_metrics, R"({"scrape":"","path":"/own","port":""})");
}

TEST(InjectPrometheus, NothingChangesForWhoDoesNotWantIt) {
  const Annotations cases[] = {
      {{"prometheus.io/scrape", "false"}, {"prometheus.io/port", "8080"}},
      {{"prometheus.istio.io/merge-metrics", "false"}},
      {{"prometheus.io/port", "15020"}},  // is led there already
  };
  for (const auto& annotations : cases) {
    EXPECT_EQ(merged(annotations).annotations, Annotations()) << annotations.begin()->first;
    EXPECT_EQ(merged(annotations).app_metrics, "") << annotations.begin()->first;
  }
  EXPECT_EQ(merged({}, false).annotations, Annotations()) << "enablePrometheusMerge";
  const auto none = merge_prometheus({}, true, 0);
  EXPECT_TRUE(none && none->annotations.empty()) << "no status port";
}

TEST(InjectPrometheus, ThePodsWishGoesOverTheMeshs) {
  EXPECT_EQ(merged({{"prometheus.istio.io/merge-metrics", "true"}}, false).annotations, ours);
}

TEST(InjectPrometheus, PortsThatCannotBeScrapedAreRefused) {
  for (const char* port : {"15090", "0", "65536", "http"}) {
    EXPECT_FALSE(merge_prometheus({{"prometheus.io/port", port}}, true, 15020)) << port;
    EXPECT_FALSE(merge_prometheus({{"prometheus.istio.io/scrape-targets", port}}, true, 15020))
        << port;
  }
  EXPECT_FALSE(merge_prometheus({{"prometheus.istio.io/scrape-targets", ":/m"}}, true, 15020));
}

const char* const web =
    "kind: Pod\nmetadata:\n  name: p\n  annotations:\n    prometheus.io/port: '8080' # web's\n"
    "    prometheus.io/path: /own\nspec:\n  containers:\n  - name: web\n    image: web\n";

YAML::Node injected_with(const std::string& text, const InjectOptions& options = {}) {
  const auto result = inject(text, "t.yaml", options);
  EXPECT_TRUE(result) << result.error().context;
  if (!result) return YAML::Node(YAML::NodeType::Map);
  const auto again = inject(result->text, "t.yaml", options);
  EXPECT_TRUE(again && again->text == result->text) << "idempotent";
  return YAML::Load(result->text);
}

std::string metrics_variable(const YAML::Node& pod) {
  for (const auto& container : pod["spec"]["initContainers"]) {
    for (const auto& one : container["env"]) {
      if (one["name"].Scalar() == "ISTIO_PROMETHEUS_ANNOTATIONS") return one["value"].Scalar();
    }
  }
  for (const auto& container : pod["spec"]["containers"]) {
    for (const auto& one : container["env"]) {
      if (one["name"].Scalar() == "ISTIO_PROMETHEUS_ANNOTATIONS") return one["value"].Scalar();
    }
  }
  return "";
}

TEST(InjectPrometheus, TheManifestsOwnAnnotationsAreChangedWhereTheyStand) {
  const YAML::Node pod = injected_with(web);
  const YAML::Node annotations = pod["metadata"]["annotations"];
  for (const auto& [name, value] : ours) EXPECT_EQ(annotations[name].Scalar(), value);
  EXPECT_EQ(metrics_variable(pod), R"({"scrape":"","path":"/own","port":"8080"})");
}

TEST(InjectPrometheus, TheMeshCanTurnItOff) {
  InjectOptions options;
  options.mesh.prometheus_merge = false;
  const YAML::Node pod = injected_with(web, options);
  EXPECT_EQ(pod["metadata"]["annotations"]["prometheus.io/port"].Scalar(), "8080");
  EXPECT_EQ(metrics_variable(pod), "");
}

TEST(InjectPrometheus, ABadPortIsRefusedWithTheLineOfThePod) {
  const auto result = inject(
      "kind: Pod\nmetadata: {name: p, annotations: {prometheus.io/port: '15090'}}\n"
      "spec: {containers: [{name: web}]}\n",
      "t.yaml");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().context.find("t.yaml:1: "), std::string::npos);
  EXPECT_NE(result.error().context.find("15090"), std::string::npos) << result.error().context;
}

}  // namespace
}  // namespace sallyport::cli
