// Scenario G10: access logs of gateways in JSON, and whose Telemetry resource holds for whom.
#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string webapp = "webapp.istioinaction.io";

// A Telemetry resource; `labels` select workloads, none: all of the namespace (of the root
// namespace istio-system: all of the mesh).
std::string telemetry(const std::string& namespace_name, const std::string& labels,
                      const std::string& logging) {
  return "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: " + namespace_name +
         (labels.empty() ? "" : "-some") + ", namespace: " + namespace_name + "}\nspec:\n" +
         (labels.empty() ? "" : "  selector: {matchLabels: {" + labels + "}}\n") +
         "  accessLogging:\n  - " + logging + "\n";
}
const std::string on = "{providers: [{name: envoy}]}", off = "{disabled: true}";

class GatewayTelemetry : public GatewayScenario {
protected:
  // Who logs a request: the gateway, the sidecar of the application behind it, both, or nobody.
  std::string who_logs() {
    const std::string path = "/api/" + std::to_string(++number_) + ".";
    http(webapp, {}, path);
    std::this_thread::sleep_for(
        std::chrono::milliseconds(300));  // Logs are written off the workers.
    std::string who;
    if (has(gateway_log(), path)) who += "gateway ";
    if (has(logs("webapp", "istio-proxy"), path)) who += "sidecar ";
    return who;
  }
  // Since `text` holds, after at most a few seconds.
  ::testing::AssertionResult logs_with(const std::string& text, const std::string& who) {
    apply("rules.yaml", text);
    std::string last;
    for (int i = 0; i < 12; i++)
      if ((last = who_logs()) == who) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "logged by: " << last << "\n" << text;
  }

  int number_ = 0;
};

TEST_F(GatewayTelemetry, G10_OnlyTheChosenWorkloadLogs) {
  up("ingress-telemetry");
  EXPECT_EQ(who_logs(), "gateway ");
  ASSERT_TRUE(sandbox_->remove("rules.yaml"));
  EXPECT_TRUE(soon([&] { return who_logs().empty(); })) << "accessLogFile is empty";
}

TEST_F(GatewayTelemetry, G10_EachLineIsOneJsonObjectWithIstiosKeys) {
  up("ingress-telemetry");
  http(webapp, {"-A", "a \"quoted\\\"\tagent \xff"}, "/api/first");
  http("other.example.org", {}, "/api/second");
  ASSERT_TRUE(gateway_logged("/api/first"));
  ASSERT_TRUE(gateway_logged("/api/second"));
  const std::string read = R"(
import json
for line in open(0, "rb"):
    if b"/api/" not in line: continue
    o = json.loads(line)
    print(o["path"], o["response_code"], o["response_flags"], type(o["duration"]).__name__,
          o["route_name"], o["authority"], repr(o["user_agent"]), len(o["request_id"]))
    print(*sorted(o))
)";
  const auto said = exec("client", {"python3", "-c", read}, gateway_log());
  EXPECT_TRUE(has(said.out,
                  "/api/first 200 - int None webapp.istioinaction.io "
                  "'a \"quoted\\\\\"\\tagent "))
      << said.out << said.err << gateway_log();
  EXPECT_TRUE(has(said.out, "/api/second 404 NR int None other.example.org 'curl/")) << said.out;
  const std::string keys =
      "authority bytes_received bytes_sent connection_termination_details "
      "downstream_local_address downstream_remote_address duration method path protocol "
      "request_id requested_server_name response_code response_code_details response_flags "
      "route_name start_time upstream_cluster upstream_host upstream_local_address "
      "upstream_service_time upstream_transport_failure_reason user_agent x_forwarded_for\n";
  EXPECT_EQ(count(said.out, keys), 2) << said.out << said.err;
}

TEST_F(GatewayTelemetry, G10_TheWorkloadsGoesBeforeTheNamespacesBeforeTheMeshs) {
  up("ingress-telemetry");
  const auto mesh = telemetry("istio-system", "", on) + "---\n";
  EXPECT_TRUE(logs_with(mesh, "gateway sidecar "));
  const auto space = telemetry("default", "", off) + "---\n";
  EXPECT_TRUE(logs_with(mesh + space, "gateway ")) << "the namespace's beats the mesh's";
  const auto workload = telemetry("default", "app: webapp", on) + "---\n";
  EXPECT_TRUE(logs_with(mesh + space + workload, "gateway sidecar "))
      << "the workload's beats the namespace's";
  const auto gateway = telemetry("istio-system", "app: istio-ingressgateway", off);
  EXPECT_TRUE(logs_with(mesh + space + workload + gateway, "sidecar "));
  const auto others = telemetry("default", "app: other", on) + "---\n";
  EXPECT_TRUE(logs_with(mesh + space + others, "gateway ")) << "another workload's";
}

TEST_F(GatewayTelemetry, G10_AGatewayCountsAsTheClientsSide) {
  up("ingress-telemetry");
  const auto only = [](const std::string& mode) {
    return telemetry("istio-system", "",
                     "{providers: [{name: envoy}], match: {mode: " + mode + "}}");
  };
  EXPECT_TRUE(logs_with(only("CLIENT"), "gateway "));
  EXPECT_TRUE(logs_with(only("SERVER"), "sidecar "));
}

}  // namespace
}  // namespace sallyport::behaviour
