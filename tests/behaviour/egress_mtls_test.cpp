// Scenarios E3, E3c and E3d: the main job. And what it does when its parts are missing or broken.
#include <regex>

#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string host = "my-nginx.mesh-external.svc.cluster.local";
const std::string url = "http://" + host;

using EgressMtls = Scenario;

TEST_F(EgressMtls, E3_CurlReachesTheMutualTlsServer) {
  up("egress-mtls");
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] { result = curl("sleep", {url}); });
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(result.out, "Welcome to nginx!")) << result.out;
  EXPECT_TRUE(has(wire, host)) << "the SNI of a ClientHello";
  EXPECT_FALSE(has(wire, "Welcome to nginx")) << "encrypted on the wire";
  EXPECT_FALSE(has(wire, "GET / HTTP")) << "encrypted on the wire";
  EXPECT_TRUE(logged("mesh-external/my-nginx", "my-nginx", "CN=client.example.com"));
  EXPECT_TRUE(logged("mesh-external/my-nginx", "my-nginx", "sni=" + host));
}

TEST_F(EgressMtls, E3_ConnectionsAndSessionsAreUsedAgain) {
  up("egress-mtls");
  for (int i = 0; i < 5; i++) EXPECT_TRUE(has(curl("sleep", {url}).out, "Welcome to nginx!"));
  const auto stats = curl("sleep", {"http://127.0.0.1:15000/stats/prometheus"});
  // One a worker at most; which worker serves a client is the kernel's choice.
  EXPECT_TRUE(std::regex_search(stats.out, std::regex(R"(upstream_cx_total[^\n]* [12]\n)")))
      << stats.out;
  EXPECT_TRUE(std::regex_search(stats.out, std::regex(R"(upstream_cx_reused[^\n]* [34]\n)")))
      << stats.out;
}

TEST_F(EgressMtls, E3c_TheLogLineIsIstios) {
  up("egress-mtls");
  curl("sleep", {url});
  ASSERT_TRUE(logged("sleep", "istio-proxy", "\"GET / HTTP/1.1\" 200 "));
  const std::regex line(
      R"re((^|\n)\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "GET / HTTP/1\.1" 200 )re"
      R"re(- via_upstream - "-" 0 615 \d+ \d+ "-" "curl/[^"]+" )re"
      R"re("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}" )re"
      R"re("my-nginx\.mesh-external\.svc\.cluster\.local" "198\.1[89]\.\d+\.\d+:443" )re"
      R"re(outbound\|80\|\|my-nginx\.mesh-external\.svc\.cluster\.local )re"
      R"re(198\.18\.\d+\.\d+:\d+ 198\.1[89]\.\d+\.\d+:80 198\.18\.\d+\.\d+:\d+ - default\n)re");
  const auto log = logs("sleep", "istio-proxy");
  EXPECT_TRUE(std::regex_search(log, line)) << log;
}

TEST_F(EgressMtls, E3d_ARuleWithASelectorHoldsOnlyForWhatItSelects) {
  up("egress-mtls");
  const auto result = curl("other", {"-D", "-", url});
  EXPECT_TRUE(result.out.starts_with("HTTP/1.1 400 Bad Request")) << result.out << result.err;
  EXPECT_TRUE(has(result.out, "plain HTTP request was sent to HTTPS port")) << result.out;
}

TEST_F(EgressMtls, AMissingSecretIsA503ThatNamesIt) {
  up("egress-mtls", {{"originate-mtls.yaml", R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nginx}
spec:
  hosts: [my-nginx.mesh-external.svc.cluster.local]
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: nginx}
spec:
  workloadSelector: {matchLabels: {app: sleep}}
  host: my-nginx.mesh-external.svc.cluster.local
  trafficPolicy:
    tls: {mode: MUTUAL, credentialName: absent-credential}
)"}});
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] {
    result = curl("sleep", {"-D", "-", url + "/marker-in-path"});
  });
  EXPECT_TRUE(result.out.starts_with("HTTP/1.1 503 Service Unavailable")) << result.out;
  EXPECT_TRUE(has(result.out, "absent-credential")) << result.out;
  EXPECT_FALSE(has(wire, "marker-in-path")) << "no plaintext left instead";
}

TEST_F(EgressMtls, ABrokenRuleClosesItsHostAndNoOther) {
  up("egress-mtls", {{"broken.yaml", R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: second}
spec:
  hosts: [second.example.org]
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
  resolution: DNS
  endpoints: [{address: my-nginx.mesh-external.svc.cluster.local}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: second}
spec:
  host: second.example.org
  trafficPolicy:
    tls: {mode: MUTAUL}
)"}});
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] {
    result = curl("sleep", {"-D", "-", "-H", "Host: second.example.org", url + "/marker-in-path"});
  });
  EXPECT_TRUE(result.out.starts_with("HTTP/1.1 503 Service Unavailable")) << result.out;
  EXPECT_FALSE(has(wire, "marker-in-path")) << "no plaintext left instead";
  EXPECT_TRUE(logged("sleep", "istio-proxy",
                     "broken.yaml:18: DestinationRule default/second: "
                     "spec.trafficPolicy.tls.mode"));
  EXPECT_TRUE(has(curl("sleep", {url}).out, "Welcome to nginx!")) << "the good rule still holds";
}

TEST_F(EgressMtls, AWrongDocumentIsNamedAndTheOthersHold) {
  up("egress-mtls", {{"odd.yaml",
                      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
                      "metadata: {name: odd}\nspec:\n  hosts: 7\n"}});
  EXPECT_TRUE(logged("sleep", "istio-proxy", "odd.yaml:5: ServiceEntry default/odd: spec.hosts: "));
  EXPECT_TRUE(has(curl("sleep", {url}).out, "Welcome to nginx!"));
}

TEST_F(EgressMtls, TheAdminPortAnswers) {
  up("egress-mtls");
  curl("sleep", {url});
  const std::string admin = "http://127.0.0.1:15000";
  EXPECT_TRUE(has(curl("sleep", {admin + "/ready"}).out, "LIVE"));
  EXPECT_TRUE(has(curl("sleep", {admin + "/clusters"}).out, "outbound|80||" + host));
  const auto certs = curl("sleep", {admin + "/certs"}).out;
  EXPECT_TRUE(has(certs, "client.example.com") || has(certs, "serial_number")) << certs;
  const auto dump = curl("sleep", {admin + "/config_dump"}).out;
  EXPECT_TRUE(has(dump, "outbound|80||" + host)) << dump;
  EXPECT_FALSE(has(dump, "PRIVATE KEY")) << "keys stay inside";
  EXPECT_EQ(curl("sleep",
                 {"-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:15021/healthz/ready"})
                .out,
            "200");
}

TEST_F(EgressMtls, InboundTrafficReachesTheAppAsItIs) {
  up("egress-mtls", {{"app.yaml", R"(
apiVersion: v1
kind: Pod
metadata: {name: app, labels: {app: app}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: curlimages/curl
    command: [/usr/bin/socat, "TCP4-LISTEN:8080,fork", "SYSTEM:echo $SOCAT_PEERADDR; cat"]
    ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  selector: {app: app}
  ports: [{port: 8080, name: tcp}]
)"},
                     {"mesh.yaml", R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
    enableAutoMtls: false  # nobody has a certificate here
)"}});
  const auto result = exec("sleep", {"socat", "-t5", "-", "TCP:app.default.svc.cluster.local:8080"},
                           "through both proxies\n");
  EXPECT_TRUE(has(result.out, "through both proxies")) << result.out << result.err;
  EXPECT_TRUE(has(result.out, "127.0.0.6")) << "the source that the redirects let pass";
  EXPECT_TRUE(logged("app", "istio-proxy", " inbound|8080|| 127.0.0.6:"));
}

}  // namespace
}  // namespace sallyport::behaviour
