// A gateway's server on a unix socket: `bind: unix://`, for clients in the gateway's own pod.
#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const char* const routes = R"(---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: local}
spec:
  hosts: ["*"]
  gateways: [local]
  http:
  - route: [{destination: {host: webapp, port: {number: 80}}}]
)";

std::string gateway_on(const std::string& bind) {
  return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: local}\nspec:\n"
         "  selector: {istio: ingressgateway}\n  servers:\n  - bind: 'unix://" +
         bind +
         "'\n    port: {number: 0, name: http, protocol: HTTP}\n    hosts: [a.example.com]\n" +
         routes;
}

class GatewayUnix : public GatewayScenario {
protected:
  // The container's own files can only be read: sockets have a volume.
  void up_with(const sandbox::Files& more) {
    auto gateway = text_of_file("deploy/samples/ingress-http/gateway.yaml");
    gateway +=
        "        volumeMounts: [{name: sockets, mountPath: /run/gateway}]\n"
        "      volumes: [{name: sockets, emptyDir: {}}]\n";
    sandbox::Files files = more;
    files["gateway.yaml"] = gateway;
    up("ingress-http", files);
  }
  // curl in the gateway's pod. `at`: "--unix-socket" or "--abstract-unix-socket".
  sandbox::CommandResult ask(const std::string& at, const std::string& path,
                             const std::string& host = "a.example.com") {
    sandbox::ExecOptions options;
    options.container = "istio-proxy";
    auto result = sandbox_->exec(
        ingress,
        {"curl", "-sS", "-m", "20", at, path, "-w", "%{http_code}", "http://" + host + "/api/x"},
        options);
    if (result) return *result;
    ADD_FAILURE() << result.error().context;
    return {};
  }
  bool answered(const std::string& at, const std::string& path) {
    return soon([&] { return ask(at, path).out.ends_with("200"); });
  }
};

TEST_F(GatewayUnix, ServesItsHostsAndLogsThePathForBothEnds) {
  up_with({{"local.yaml", gateway_on("/run/gateway/gw.sock")}});
  for (int i = 0; i < 20; i++) {  // whichever worker accepts
    const auto answer = ask("--unix-socket", "/run/gateway/gw.sock");
    ASSERT_TRUE(has(answer.out, "the catalog\nhost=a.example.com\nxff=\nproto=http\n"))
        << answer.out << answer.err << gateway_log();
  }
  EXPECT_TRUE(ask("--unix-socket", "/run/gateway/gw.sock", "b.example.com").out.ends_with("404"));
  EXPECT_TRUE(gateway_logged("listening on /run/gateway/gw.sock for Gateway default/local"));
  EXPECT_TRUE(gateway_logged(" /run/gateway/gw.sock /run/gateway/gw.sock ")) << "as Envoy";
  const auto listeners = sallyport({"proxy-config", "listeners"});
  EXPECT_TRUE(has(listeners.out, "/run/gateway/gw.sock 0 ")) << listeners.out << listeners.err;
}

TEST_F(GatewayUnix, IsOpenedMovedAndClosedWhileTheGatewayRuns) {
  up_with({});
  apply("local.yaml", gateway_on("/run/gateway/one.sock"));
  EXPECT_TRUE(answered("--unix-socket", "/run/gateway/one.sock")) << gateway_log();
  apply("local.yaml", gateway_on("@two"));
  EXPECT_TRUE(answered("--abstract-unix-socket", "two")) << gateway_log();
  EXPECT_EQ(ask("--unix-socket", "/run/gateway/one.sock").code, 7)
      << "nobody listens there any more";
  ASSERT_TRUE(sandbox_->remove("local.yaml"));
  EXPECT_TRUE(soon([&] { return ask("--abstract-unix-socket", "two").code == 7; }));
  EXPECT_EQ(count(gateway_log(), "\tready: "), 1) << "no restart";
}

}  // namespace
}  // namespace sallyport::behaviour
