// `sallyport validate`: what it finds, how it says it, and its exit codes.
#include "agent/cli/validate.h"

#include <filesystem>
#include <fstream>

#include "agent/cli/analyze.h"
#include "agent/cli/explain.h"
#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

constexpr const char* good = R"(apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: external}
spec:
  hosts: [a.test]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]
  resolution: DNS
)";
constexpr const char* mistyped = R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: originate}
spec:
  host: a.test
  trafficPolicy:
    tls: {mode: MUTAUL}
)";
// Its problem shows only when it is compiled, and only for the workloads that it selects.
constexpr const char* no_such_port = R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: selected}
spec:
  host: a.test
  workloadSelector: {matchLabels: {app: sleep}}
  trafficPolicy:
    portLevelSettings:
    - {port: {number: 81}, tls: {mode: SIMPLE}}
)";

class Validate : public testing::Test {
protected:
  Validate() {
    char path[] = "/tmp/sallyport-validate-XXXXXX";
    directory_ = mkdtemp(path);
  }
  ~Validate() override { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& name, const std::string& text) {
    const auto path = directory_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  std::filesystem::path directory_;
};

TEST_F(Validate, WhatIsGoodIsSaidInOneLine) {
  const auto outcome = run_command(run_validate, {file("good.yaml", good)});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output, "valid: 1 resource in 1 file\n");
  EXPECT_EQ(outcome.errors, "");
}

TEST_F(Validate, AnErrorHasFileLineKindNameFieldAndReason) {
  const auto path = file("bad.yaml", mistyped);
  const auto outcome = run_command(run_validate, {file("good.yaml", good), "-f", path});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(outcome.output.starts_with(
      path + ":7: error: DestinationRule default/originate: spec.trafficPolicy.tls.mode: "))
      << outcome.output;
  EXPECT_TRUE(has(outcome.output, "\nnot valid: 1 error, ")) << outcome.output;
  EXPECT_TRUE(outcome.output.ends_with("2 resources in 2 files\n")) << outcome.output;
}

TEST_F(Validate, ADirectoryIsReadWholeAndCompiledForThoseThatRulesSelect) {
  file("a/good.yaml", good);
  file("b/rule.yml", no_such_port);
  file("b/notes.txt", "no YAML: [");
  const auto outcome = run_command(run_validate, {directory_.string()});
  EXPECT_EQ(outcome.exit_code, 0) << "a warning is no error";
  EXPECT_TRUE(has(outcome.output,
                  "rule.yml:9: warning: DestinationRule default/selected: "
                  "spec.trafficPolicy.portLevelSettings: "))
      << outcome.output;
  EXPECT_TRUE(has(outcome.output, "\nvalid: 1 warning, 2 resources in 2 files\n"))
      << outcome.output;
  const auto other = run_command(run_validate, {"--labels", "app=other", directory_.string()});
  EXPECT_EQ(other.output, "valid: 2 resources in 2 files\n") << "the rule is not for that one";
}

TEST_F(Validate, ASecretThatIsGivenIsLookedAtAndAnAbsentOneIsNot) {
  const std::string rule = std::string(good) + R"(---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: originate}
spec:
  host: a.test
  workloadSelector: {matchLabels: {app: sleep}}
  trafficPolicy: {tls: {mode: SIMPLE, credentialName: ca}}
)";
  const auto path = file("rule.yaml", rule);
  EXPECT_EQ(run_command(run_validate, {path}).exit_code, 0);
  const auto secret = file("secret.yaml",
                           "apiVersion: v1\nkind: Secret\nmetadata: {name: ca}\n"
                           "stringData: {ca.crt: no PEM}\n");
  const auto outcome = run_command(run_validate, {path, secret});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  EXPECT_TRUE(has(outcome.output, secret)) << outcome.output;
}

TEST_F(Validate, JsonAndYamlSayTheSame) {
  const auto path = file("bad.yaml", mistyped);
  const auto json = run_command(run_validate, {path, "-o", "json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_TRUE(json.output.starts_with("{\n    \"valid\": false,\n    \"errors\": 1,\n"))
      << json.output;
  EXPECT_TRUE(has(json.output, "            \"severity\": \"error\",\n")) << json.output;
  EXPECT_TRUE(has(json.output, "            \"line\": 7,\n")) << json.output;
  const auto yaml = run_command(run_validate, {path, "-o", "yaml"});
  EXPECT_EQ(yaml.exit_code, 1);
  EXPECT_TRUE(has(yaml.output, "\n- field: spec.trafficPolicy.tls.mode\n")) << yaml.output;
  EXPECT_TRUE(has(yaml.output, "\nvalid: false\n")) << yaml.output;
}

TEST_F(Validate, AMeshConfigIsCheckedToo) {
  const auto mesh = file("mesh", "outboundTrafficPolicy: {mode: REGISTRY_ONYL}\n");
  const auto outcome = run_command(run_validate, {"--mesh-config", mesh});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  EXPECT_TRUE(has(outcome.output, mesh + ":1: error: ")) << outcome.output;
}

TEST_F(Validate, AnAccessLogFormatThatNoProxyTakesIsAnError) {
  const auto mesh = file("mesh", "rootNamespace: istio-system\naccessLogFormat: \"%PATHS%\"\n");
  const auto outcome = run_command(run_validate, {"--mesh-config", mesh, file("a.yaml", good)});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  EXPECT_TRUE(has(outcome.output, mesh + ":2: error: MeshConfig: accessLogFormat: %PATHS% is not"))
      << outcome.output;
}

TEST_F(Validate, AnOperatorThatHasNoValueHereIsAWarning) {
  const auto mesh = file("mesh", "accessLogFormat: \"%PATH% %TRACE_ID%\"\n");
  const auto outcome = run_command(run_validate, {"--mesh-config", mesh});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_TRUE(has(outcome.output, mesh + ":1: warning: MeshConfig: accessLogFormat: %TRACE_ID% has "
                                         "no value in this proxy"))
      << outcome.output;
  EXPECT_FALSE(has(outcome.output, "%PATH% has")) << outcome.output;
}

TEST_F(Validate, TheMeshConfigOfAConfigMapIsCheckedAsAFileIs) {
  const auto map = file("map.yaml", std::string(good) + R"(---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    rootNamespace: istio-system
    outboundTrafficPolicy: {mode: REGISTRY_ONLYY}
)");
  const auto outcome = run_command(run_validate, {map});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  EXPECT_TRUE(has(outcome.output, map + ":15: error: MeshConfig: outboundTrafficPolicy.mode: "))
      << outcome.output;
  const auto told = run_command(run_explain, {"--to", "http://a.test/", map});
  EXPECT_EQ(told.exit_code, 1) << told.output;
  EXPECT_TRUE(has(told.errors, "outboundTrafficPolicy.mode: ")) << told.errors << told.output;
  const auto found = run_command(run_analyze, {map});
  EXPECT_EQ(found.exit_code, 79) << found.output;
  EXPECT_TRUE(has(found.output, "map.yaml:15")) << found.output;
}

TEST_F(Validate, NothingOfIstiosIsSaid) {
  const auto path = file("node.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: x}\n");
  const auto outcome = run_command(run_validate, {path});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(outcome.output.ends_with(
      "\nvalid: 1 warning, 0 resources in 1 file, nothing that a proxy reads\n"))
      << outcome.output;
}

TEST_F(Validate, WhatCantBeReadIsOneLineAndExitCode1) {
  const auto outcome = run_command(run_validate, {"/nonexistent/rules.yaml"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.errors,
            "sallyport validate: /nonexistent/rules.yaml can't be read: No such file or "
            "directory\n");
}

TEST_F(Validate, GatewaysAreReadAsTheirProxiesReadThem) {
  const std::string server =
      "  - {port: {number: 443, name: NAME, protocol: TLS}, hosts: [a.test], tls: {mode: "
      "PASSTHROUGH}}\n";
  const auto named = [&](const std::string& name) {
    auto out = server;
    return out.replace(out.find("NAME"), 4, name);
  };
  const auto path = file("gateway.yaml",
                         "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n"
                         "spec:\n  selector: {istio: ingressgateway}\n  servers:\n" +
                             named("first") + named("second"));
  for (const auto& words : {std::vector<std::string>{path},
                            {path, "--labels", "istio=ingressgateway", "-n", "istio-system"}}) {
    const auto outcome = run_command(run_validate, words);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.output << outcome.errors;
    EXPECT_TRUE(
        has(outcome.output + outcome.errors,
            "gateway.yaml:8: error: Gateway default/g: spec.servers: server second is skipped"))
        << outcome.output << outcome.errors;
  }
}

struct UsageCase {
  std::vector<std::string> words;
  const char* told;
};

const UsageCase usage_cases[] = {
    {{}, "which files? PATH..., -f FILE, or - for stdin"},
    {{"x", "--outptu", "json"}, "there is no flag --outptu; did you mean \"--output\"?"},
    {{"x", "-o", "xml"}, "--output"},
    {{"x", "--labels", "app"}, "--labels: \"app\" is not NAME=VALUE"},
};

TEST_F(Validate, AWrongCommandLineIsOneLineWithAHintAndExitCode2) {
  for (const auto& c : usage_cases) {
    const auto outcome = run_command(run_validate, c.words);
    EXPECT_EQ(outcome.exit_code, 2) << c.told;
    EXPECT_TRUE(has(outcome.errors, c.told)) << outcome.errors;
    EXPECT_TRUE(outcome.errors.ends_with("see sallyport validate --help\n")) << outcome.errors;
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1);
    EXPECT_EQ(outcome.output, "");
  }
}

TEST_F(Validate, HelpHasExamplesAndExitCodes) {
  const auto outcome = run_command(run_validate, {"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(has(outcome.output, "Examples:\n    sallyport validate rules/")) << outcome.output;
  EXPECT_TRUE(has(outcome.output, "Exit codes: ")) << outcome.output;
}

}  // namespace
}  // namespace sallyport::cli
