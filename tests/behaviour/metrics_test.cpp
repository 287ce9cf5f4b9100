// Istio's standard metrics, as Prometheus gets them: of both sidecars of a call, of a gateway, with
// the application's own behind, and with a Telemetry's overrides.
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

// An application with metrics of its own, which says where they are.
const char* const shop = R"(
apiVersion: v1
kind: Pod
metadata:
  name: shop
  labels: {app: shop}
  annotations:
    prometheus.io/scrape: "true"
    prometheus.io/port: "9102"
    prometheus.io/path: /shop-metrics
spec:
  terminationGracePeriodSeconds: 0
  serviceAccountName: sleep
  containers:
  - name: shop
    image: python
    command:
    - python3
    - -uc
    - |
      import http.server
      class Handler(http.server.BaseHTTPRequestHandler):
          def do_GET(self):
              body = b"# TYPE orders_total counter\norders_total 7\n"
              self.send_response(200 if self.path == "/shop-metrics" else 404)
              self.send_header("Content-Length", str(len(body)))
              self.end_headers()
              self.wfile.write(body)
          def log_message(self, *words): pass
      http.server.ThreadingHTTPServer(("0.0.0.0", 9102), Handler).serve_forever()
    ports: [{containerPort: 9102}]
    readinessProbe: {tcpSocket: {port: 9102}}
)";

using Labels = std::vector<std::pair<std::string, std::string>>;

// The value of the only series of `metric` with these labels, and maybe others; else what is wrong.
std::string value_of(const std::string& text, const std::string& metric, const Labels& labels) {
  std::istringstream lines(text);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(metric + "{")) continue;
    const bool all = std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
      return has(line, label.first + "=\"" + label.second + "\"");
    });
    if (!all) continue;
    if (!found.empty()) return "several";
    found = line.substr(line.rfind(' ') + 1);
  }
  return found.empty() ? "none" : found;
}

class Metrics : public Scenario {
protected:
  std::string scrape(const std::string& pod, int port = 15020) {
    return curl(pod, {"http://127.0.0.1:" + std::to_string(port) + "/stats/prometheus"}).out;
  }
  ::testing::AssertionResult soon_counts(const std::string& pod, const std::string& metric,
                                         const Labels& labels, const std::string& value,
                                         int port = 15020) {
    std::string text;
    const auto counted = [&] {
      text = scrape(pod, port);
      return value_of(text, metric, labels) == value;
    };
    if (soon(counted)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << value_of(text, metric, labels) << "\n" << text;
  }
};

TEST_F(Metrics, BothSidecarsOfACallCountItWithIstiosLabels) {
  up("mesh");
  for (int i = 0; i < 3; i++) ASSERT_EQ(curl("sleep", {"http://web/"}).code, 0);
  const std::string web = "spiffe://cluster.local/ns/default/sa/web";
  const std::string sleep = "spiffe://cluster.local/ns/default/sa/sleep";
  const Labels of_source = {{"reporter", "source"},
                            {"source_workload", "sleep"},
                            {"source_principal", sleep},
                            {"destination_workload", "web"},
                            {"destination_principal", web},
                            {"destination_service", "web.default.svc.cluster.local"},
                            {"destination_service_name", "web"},
                            {"request_protocol", "http"},
                            {"response_code", "200"},
                            {"response_flags", "-"},
                            {"connection_security_policy", "unknown"}};
  const Labels of_destination = {{"reporter", "destination"},
                                 {"source_principal", sleep},
                                 {"source_workload_namespace", "default"},
                                 {"destination_canonical_service", "web"},
                                 {"destination_principal", web},
                                 {"destination_service", "web.default.svc.cluster.local"},
                                 {"response_code", "200"},
                                 {"connection_security_policy", "mutual_tls"}};
  for (const int port : {15020, 15090}) {
    EXPECT_TRUE(soon_counts("sleep", "istio_requests_total", of_source, "3", port)) << port;
    EXPECT_TRUE(soon_counts("web", "istio_requests_total", of_destination, "3", port)) << port;
  }
  EXPECT_TRUE(soon_counts("sleep", "istio_request_duration_milliseconds_count", of_source, "3"));
  EXPECT_TRUE(soon_counts("web", "istio_response_bytes_count", of_destination, "3"));
}

TEST_F(Metrics, TheApplicationsOwnStandBehindTheProxysOnTheStatusPort) {
  up("mesh", {{"shop.yaml", shop}});
  EXPECT_TRUE(soon([&] { return has(scrape("shop"), "\norders_total 7\n"); })) << scrape("shop");
  EXPECT_TRUE(has(scrape("shop"), "istio_build{component=\"proxy\""));
  EXPECT_FALSE(has(scrape("shop", 15090), "orders_total")) << "which are the proxy's alone";
}

TEST_F(Metrics, AGatewayReportsAsASourceAndFollowsItsTelemetry) {
  up("ingress-telemetry");
  const std::string gateway = "istio-ingressgateway";
  const auto ask = [&] {
    curl("client",
         {"-H", "Host: webapp.istioinaction.io", "http://istio-ingressgateway.istio-system/api/x"});
  };
  ask();
  EXPECT_TRUE(soon_counts("istio-system/" + gateway, "istio_requests_total",
                          {{"reporter", "source"},
                           {"source_workload", gateway},
                           {"destination_service_name", "webapp"},
                           {"response_code", "200"}},
                          "1", 15090));
  apply("metrics.yaml",
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n"
        "metadata: {name: metrics, namespace: istio-system}\nspec:\n  metrics:\n"
        "  - providers: [{name: prometheus}]\n    overrides:\n"
        "    - match: {metric: REQUEST_COUNT}\n      tagOverrides:\n"
        "        response_code: {operation: REMOVE}\n        asked: {value: request.method}\n");
  EXPECT_TRUE(soon([&] {
    ask();
    return value_of(scrape("istio-system/" + gateway, 15090), "istio_requests_total",
                    {{"asked", "GET"}}) != "none";
  })) << scrape("istio-system/" + gateway, 15090);
}

}  // namespace
}  // namespace sallyport::behaviour
