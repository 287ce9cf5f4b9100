// `sallyport analyze`: istioctl's lines, thresholds, suppressions and exit codes.
#include "agent/cli/analyze.h"

#include <filesystem>
#include <fstream>

#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

constexpr const char* lost = R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: lost, namespace: shop}
spec:
  host: lost.example.com
  trafficPolicy: {tls: {mode: DISABLE}}
)";
constexpr const char* plaintext = R"(apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: [api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]
  resolution: DNS
)";

class Analyze : public testing::Test {
protected:
  Analyze() {
    char path[] = "/tmp/sallyport-analyze-XXXXXX";
    directory_ = mkdtemp(path);
  }
  ~Analyze() override { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return (directory_ / name).string();
  }
  std::filesystem::path directory_;
};

TEST_F(Analyze, NothingFoundIsIstioctlsLine) {
  const auto path = file("empty.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n");
  const auto outcome = run_command(run_analyze, {path});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output, "\u2714 No validation issues found when analyzing " + path + ".\n");
}

TEST_F(Analyze, AFindingIsIstioctlsLineWithFieldAndCureBelow) {
  const auto path = file("lost.yaml", lost);
  const auto outcome = run_command(run_analyze, {directory_.string()});
  EXPECT_EQ(outcome.exit_code, 0) << "a warning does not fail";
  EXPECT_EQ(outcome.output,
            "Warning [IST0174] (DestinationRule lost.shop " + path +
                ":5) The host lost.example.com defined in the DestinationRule does not match any "
                "services in the mesh.\n    at spec.host; cure: correct spec.host (its namespace, "
                "a typing error), or add the ServiceEntry\n");
}

TEST_F(Analyze, ExpressionsOfTelemetryThatCantBeReadAreNamed) {
  const auto path = file("telemetry.yaml", R"(apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: t}
spec:
  accessLogging:
  - filter: {expression: "response.code >>= 400"}
  metrics:
  - overrides:
    - tagOverrides: {x: {value: "request.host ++ 1"}}
)");
  const auto outcome = run_command(run_analyze, {path});
  EXPECT_EQ(outcome.exit_code, 79);
  const std::string line = "Error [SLP0901] (Telemetry t.default " + path;
  EXPECT_TRUE(has(outcome.output, line + ":6) column 16: ")) << outcome.output;
  EXPECT_TRUE(has(outcome.output, "at spec.accessLogging[0].filter.expression; "))
      << outcome.output;
  EXPECT_TRUE(has(outcome.output, line + ":8) ")) << outcome.output;
  EXPECT_TRUE(has(outcome.output, "at spec.metrics[0].overrides[0].tagOverrides.x.value; "))
      << outcome.output;
}

TEST_F(Analyze, ANamespaceMayBeAskedForAsIstioctlHasIt) {
  const auto path = file("lost.yaml", lost);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"-n", "shop", path}, {"-A", path}, {"--all-namespaces", path}}) {
    EXPECT_TRUE(has(run_command(run_analyze, words).output, "IST0174")) << words[0];
  }
  EXPECT_FALSE(has(run_command(run_analyze, {"-n", "other", path}).output, "IST0174"));
}

TEST_F(Analyze, AnErrorIsExitCode79AsIstioctls) {
  const auto outcome = run_command(run_analyze, {file("api.yaml", plaintext)});
  EXPECT_EQ(outcome.exit_code, 79);
  EXPECT_TRUE(outcome.output.starts_with("Error [SLP0202] (ServiceEntry api.default "))
      << outcome.output;
}

TEST_F(Analyze, ThresholdsDecideWhatFailsAndWhatIsShown) {
  const auto path = file("lost.yaml", lost);
  EXPECT_EQ(run_command(run_analyze, {path, "--failure-threshold", "Warning"}).exit_code, 79);
  EXPECT_EQ(run_command(run_analyze, {path, "--failure-threshold", "warning"}).exit_code, 79);
  const auto hidden = run_command(run_analyze, {path, "--output-threshold", "Error"});
  EXPECT_TRUE(has(hidden.output, "No validation issues found")) << hidden.output;
}

TEST_F(Analyze, WhatIsSuppressedNeitherShowsNorFails) {
  const auto path = file("api.yaml", plaintext);
  const auto outcome =
      run_command(run_analyze, {"--suppress", "SLP0202=ServiceEntry *.default", path});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_EQ(run_command(run_analyze, {"-S", "SLP0202=ServiceEntry *.shop", path}).exit_code, 79);
}

TEST_F(Analyze, JsonIsIstioctlsListWithFieldAndCure) {
  const auto path = file("lost.yaml", lost);
  const auto json = run_command(run_analyze, {path, "-o", "json"});
  EXPECT_TRUE(json.output.starts_with("[\n")) << json.output;
  for (const std::string& part :
       {std::string("\"code\": \"IST0174\""), std::string("\"level\": \"Warning\""),
        std::string("\"origin\": \"DestinationRule lost.shop\""),
        "\"reference\": \"" + path + ":5\"", std::string("\"field\": \"spec.host\""),
        std::string("\"cure\": \"correct spec.host"),
        std::string("/docs/reference/config/analysis/ist0174/\"")})
    EXPECT_TRUE(has(json.output, part)) << part << "\n" << json.output;
  const auto yaml = run_command(run_analyze, {path, "-o", "yaml"});
  EXPECT_TRUE(has(yaml.output, "code: IST0174\n")) << yaml.output;
}

TEST_F(Analyze, CodesAreListed) {
  const auto outcome = run_command(run_analyze, {"--codes"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(has(outcome.output, "SLP0201")) << outcome.output;
  EXPECT_TRUE(
      has(run_command(run_analyze, {"--codes", "-o", "json"}).output, "\"code\": \"IST0101\""));
}

TEST_F(Analyze, MistakesOfTheCommandLineAreOneLine) {
  EXPECT_EQ(run_command(run_analyze, {}).exit_code, 2);
  const auto level = run_command(run_analyze, {"x", "--failure-threshold", "Fatal"});
  EXPECT_EQ(level.exit_code, 2) << level.errors;
  const auto absent = run_command(run_analyze, {"/nonexistent/rules.yaml"});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_EQ(absent.errors,
            "sallyport analyze: /nonexistent/rules.yaml can't be read: No such file or "
            "directory\n");
  EXPECT_TRUE(has(run_command(run_analyze, {"--help"}).output, "Examples:\n"));
}

}  // namespace
}  // namespace sallyport::cli
