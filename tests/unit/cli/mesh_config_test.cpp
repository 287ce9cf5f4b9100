// What a proxy says of its access logs: formats that a MeshConfig may not have, operators that are
// never known, filters that can't be read.
#include "agent/cli/mesh_config.h"

#include <gtest/gtest.h>

#include "agent/cli/validation.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/telemetry_metrics.h"

namespace sallyport::cli {
namespace {

std::vector<std::string> texts_of(const std::vector<istio::Finding>& findings) {
  std::vector<std::string> out;
  for (const auto& finding : findings) out.push_back(finding.text());
  return out;
}

const std::string telemetry =
    "apiVersion: telemetry.istio.io/v1\n"
    "kind: Telemetry\n"
    "metadata: {name: errors, namespace: foo}\n"
    "spec:\n"
    "  accessLogging:\n"
    "  - providers: [{name: envoy}]\n"
    "    filter:\n"
    "      expression: response.status >= 400\n";
const std::string problem =
    "column 1: \"response.status\" is not a known attribute; did you mean \"response.flags\"?; "
    "without a filter that can be read everything is logged";

TEST(AccessLogs, FormatsOfProvidersAreChecked) {
  const auto read = check_mesh_config(
      "extensionProviders:\n"
      "- name: a\n"
      "  envoyFileAccessLog:\n"
      "    logFormat: {text: '%FOO%'}\n"
      "- name: b\n"
      "  envoyFileAccessLog:\n"
      "    omitEmptyValues: true\n"
      "    logFormat: {labels: {t: '%TRACE_ID%'}}\n",
      "mesh");
  EXPECT_EQ(texts_of(read.findings),
            (std::vector<std::string>{
                "mesh:4: MeshConfig: extensionProviders[0].envoyFileAccessLog.logFormat: %FOO% is "
                "not a known operator",
                "mesh:8: warning: MeshConfig: extensionProviders[1].envoyFileAccessLog.logFormat: "
                "%TRACE_ID% has no value in this proxy: it is left out"}));
}

TEST(AccessLogs, AFilterThatCanNotBeReadIsNotValid) {
  const config::SourceTree tree{.files = {{"f.yaml", telemetry, ""}}};
  const auto result = validate(tree, {}, std::nullopt);
  EXPECT_FALSE(result.good());
  EXPECT_EQ(
      texts_of(result.findings),
      std::vector<std::string>{
          "f.yaml:8: Telemetry foo/errors: spec.accessLogging[0].filter.expression: " + problem});
}

TEST(AccessLogs, WarnOfWhatTheyCanNotDo) {
  mesh::AccessLogging logging;
  logging.loggers.push_back({.provider = "a", .path = "/a", .format = "%TRACE_ID%"});
  auto from = std::make_shared<ResourceRef>(
      ResourceRef{"Telemetry", "foo", "errors", SharedText("f.yaml"), 1});
  logging.loggers.push_back({.provider = "b",
                             .path = "/b",
                             .filter = "response.status >= 400",
                             .filter_from = from,
                             .filter_field = "spec.accessLogging[0].filter.expression"});
  EXPECT_EQ(
      log_warnings(logging),
      (std::vector<std::string>{
          "access log provider a: %TRACE_ID% has no value in this proxy: it is logged as "
          "\"-\"",
          "Telemetry foo/errors (f.yaml:1): spec.accessLogging[0].filter.expression: " + problem}));
}

TEST(AccessLogs, BecomeTheLogsSettings) {
  mesh::AccessLogging logging;
  logging.loggers.push_back({.path = "/a",
                             .format = "{}",
                             .json = true,
                             .omit_empty_values = true,
                             .filter = "true",
                             .client = true});
  const auto settings = log_settings(logging);
  ASSERT_EQ(settings.size(), 1u);
  EXPECT_EQ(settings[0], (observe::LogSettings{.path = "/a",
                                               .format = "{}",
                                               .json = true,
                                               .omit_empty = true,
                                               .filter = "true",
                                               .client = true,
                                               .server = false}));
}

// A tag is of each metric that it changes, and told once.
TEST(StandardMetrics, ATagThatCanNotBeReadIsNamedWithItsTelemetry) {
  mesh::CompileInput input;
  input.proxy.namespace_name = "foo";
  const char* yaml =
      "apiVersion: telemetry.istio.io/v1\n"
      "kind: Telemetry\n"
      "metadata: {name: tags, namespace: foo}\n"
      "spec:\n"
      "  metrics:\n"
      "  - overrides:\n"
      "    - tagOverrides: {mine: {value: 'request.nothing'}, good: {value: request.host}}\n";
  for (auto& resource : istio::decode(yaml, "t.yaml").resources)
    input.resources.push_back(std::make_shared<const istio::Resource>(std::move(resource)));
  std::vector<istio::Finding> none;
  EXPECT_EQ(metric_warnings(*mesh::standard_metrics(input, none)),
            std::vector<std::string>{
                "Telemetry foo/tags (t.yaml:6): spec.metrics[0].overrides[0].tagOverrides.mine"
                ".value: column 1: \"request.nothing\" is not a known attribute; did you mean "
                "\"request.path\"?; the label stays as it is"});
}

}  // namespace
}  // namespace sallyport::cli
