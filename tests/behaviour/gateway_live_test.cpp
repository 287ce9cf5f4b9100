// A gateway whose servers, routes and certificates change while it runs.
#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string webapp = "webapp.istioinaction.io";

// Requests on four threads until a file is there: two keep their connections, two take a new one
// for each. Says how many there were, whose certificates were seen, and what failed.
const char* const gateway_load = R"(
import http.client, os, socket, ssl, sys, threading, time
gateway, host, port, ca, stop = sys.argv[1:6]
port = int(port)
context = ssl.create_default_context(cafile=ca) if port == 443 else None
lock, count, serials, failures = threading.Lock(), [0], set(), []

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.create_connection((gateway, port), 10)
        if context:
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
            serials.add(self.sock.getpeercert()["serialNumber"])

def ask(kept):
    connection = None
    while not os.path.exists(stop):
        try:
            connection = connection or Connection(host, timeout=10)
            connection.request("GET", "/api/catalog", headers={"Host": host})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or not body: raise Exception("%d %s" % (answer.status, body))
        except Exception as failure:
            failures.append(repr(failure))
            connection = None
        with lock: count[0] += 1
        if connection and not kept:
            connection.close()
            connection = None
        time.sleep(0.01)

threads = [threading.Thread(target=ask, args=(n % 2 == 0,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print("%d requests, %d failed, serials %s" % (count[0], len(failures), " ".join(sorted(serials))))
print(*failures[:5], sep="\n")
)";

class GatewayLive : public GatewayScenario {
protected:
  void start_load(int port) {
    exec("client", {"sh", "-c",
                    "python3 -c \"$0\" " + gateway() + " " + webapp + " " + std::to_string(port) +
                        " /etc/ca/ca.crt /tmp/stop > /tmp/load 2>&1 &",
                    gateway_load});
  }
  std::string end_load() {
    exec("client", {"touch", "/tmp/stop"});
    std::string said;
    soon([&] { return has(said = exec("client", {"cat", "/tmp/load"}).out, " failed"); });
    return said;
  }
  // Requests have been answered since the configuration that is in force now.
  void some_load() { std::this_thread::sleep_for(std::chrono::milliseconds(700)); }

  // The status of a request to that port of the gateway's pod: "000" when nobody listens.
  std::string status(const std::string& host, int port) {
    return curl("client", {"-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: " + host,
                           "http://" + pod_ + ":" + std::to_string(port) + "/api/catalog"})
        .out;
  }
  ::testing::AssertionResult becomes(const std::string& code, const std::string& host, int port) {
    if (soon([&] { return status(host, port) == code; })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << status(host, port) << "\n" << gateway_log();
  }
  void find_pod() {
    const auto rows = sandbox_->status();
    ASSERT_TRUE(rows);
    for (const auto& row : *rows)
      if (row.name == "istio-ingressgateway-1") pod_ = row.ipv4;
  }
  std::string pod_;
};

std::string second_gateway(int port, const std::string& host) {
  return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: second}\nspec:\n"
         "  selector: {istio: ingressgateway}\n  servers:\n  - port: {number: " +
         std::to_string(port) + ", name: http, protocol: HTTP}\n    hosts: [" + host + "]\n";
}
const char* const second_routes = R"(---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second}
spec:
  hosts: ["*"]
  gateways: [second]
  http:
  - route: [{destination: {host: webapp, port: {number: 80}}}]
)";

TEST_F(GatewayLive, ServersAreOpenedChangedAndClosed) {
  up("ingress-http");
  find_pod();
  ASSERT_EQ(status("a.example.com", 9000), "000");
  apply("second.yaml", second_gateway(9000, "a.example.com") + second_routes);
  EXPECT_TRUE(becomes("200", "a.example.com", 9000)) << "opened";
  EXPECT_EQ(status("b.example.com", 9000), "404");

  apply("second.yaml", second_gateway(9000, "b.example.com") + second_routes);
  EXPECT_TRUE(becomes("200", "b.example.com", 9000)) << "its host is another now";
  EXPECT_EQ(status("a.example.com", 9000), "404");

  apply("second.yaml", second_gateway(9001, "b.example.com") + second_routes);
  EXPECT_TRUE(becomes("200", "b.example.com", 9001)) << "its port is another now";
  EXPECT_TRUE(becomes("000", "b.example.com", 9000)) << "nobody listens there any more";

  ASSERT_TRUE(sandbox_->remove("second.yaml"));
  EXPECT_TRUE(becomes("000", "b.example.com", 9001)) << "closed";
  EXPECT_EQ(status(webapp, 8080), "200") << "the others stay";
  EXPECT_EQ(count(gateway_log(), "\tready: "), 1) << "no restart";
}

TEST_F(GatewayLive, AServerThatTurnsToTlsTakesPlaintextNoMore) {
  const auto ca = test::Authority::root("Webapp CA");
  const auto server = ca.issue({.common_name = webapp, .dns = {webapp}});
  up("ingress-simple", {{"certificates.yaml",
                         tls_secret("webapp-credential", server) +
                             object("ConfigMap", "default", "ingress-ca", {{"ca.crt", ca.pem()}})},
                        {"rules.yaml", text_of_file("deploy/samples/ingress-http/rules.yaml")},
                        {"routes.yaml", ""}});
  find_pod();
  EXPECT_EQ(status(webapp, 8080), "200");
  auto rules = text_of_file("deploy/samples/ingress-http/rules.yaml");
  const std::string plain = "protocol: HTTP\n";
  rules.replace(rules.find(plain), plain.size(),
                "protocol: HTTPS\n    tls: {mode: SIMPLE, credentialName: webapp-credential}\n");
  apply("rules.yaml", rules);
  EXPECT_TRUE(becomes("000", webapp, 8080));
  const auto answer = curl(
      "client", {"--cacert", "/etc/ca/ca.crt", "-o", "/dev/null", "-w", "%{http_code}", "--resolve",
                 webapp + ":8080:" + pod_, "https://" + webapp + ":8080/api/catalog"});
  EXPECT_EQ(answer.out, "200") << answer.err;
}

TEST_F(GatewayLive, ASecretComesAndIsReplacedUnderLoadWithoutAFailedHandshake) {
  const auto ca = test::Authority::root("Webapp CA");
  const auto old_server = ca.issue({.common_name = webapp, .dns = {webapp}});
  const auto new_server = ca.issue({.common_name = webapp, .dns = {webapp}});
  const auto trusted = object("ConfigMap", "default", "ingress-ca", {{"ca.crt", ca.pem()}});
  up("ingress-simple", {{"certificates.yaml", trusted}});
  EXPECT_TRUE(refused_by_server(https(webapp, {"-k"}, "/api/catalog"))) << "there is none yet";
  apply("certificates.yaml", trusted + tls_secret("webapp-credential", old_server));
  ASSERT_TRUE(gateway_logged("kubernetes://webapp-credential: key/cert pair went live"));
  ASSERT_EQ(https(webapp, {"--cacert", "/etc/ca/ca.crt"}, "/api/catalog").code, 0);

  start_load(443);
  some_load();
  apply("certificates.yaml", trusted + tls_secret("webapp-credential", new_server));
  EXPECT_TRUE(soon([&] { return shown_serial(webapp) == serial_text(new_server); }));
  some_load();
  const auto said = end_load();
  EXPECT_TRUE(has(said, " requests, 0 failed, ")) << said << gateway_log();
  EXPECT_GT(std::atoi(said.c_str()), 100) << said;
  EXPECT_TRUE(has(said, serial_text(old_server))) << said;
  EXPECT_TRUE(has(said, serial_text(new_server))) << said;
  EXPECT_EQ(count(gateway_log(), "\tready: "), 1) << "no restart";
}

TEST_F(GatewayLive, ABadSecretLeavesTheOldOneInUse) {
  const auto ca = test::Authority::root("Webapp CA");
  const auto good = ca.issue({.common_name = webapp, .dns = {webapp}});
  auto mixed = ca.issue({.common_name = webapp, .dns = {webapp}});
  mixed.key_pem = good.key_pem;
  const auto trusted = object("ConfigMap", "default", "ingress-ca", {{"ca.crt", ca.pem()}});
  up("ingress-simple", {{"certificates.yaml", trusted + tls_secret("webapp-credential", good)}});
  apply("certificates.yaml", trusted + tls_secret("webapp-credential", mixed));
  EXPECT_TRUE(gateway_logged("private key: does not match the certificate"));
  EXPECT_EQ(shown_serial(webapp), serial_text(good));
}

TEST_F(GatewayLive, ConfigurationChangesUnderLoadFailNoRequest) {
  up("ingress-http");
  const auto rules = text_of_file("deploy/samples/ingress-http/rules.yaml");
  const std::string route = "  http:\n";
  auto other = rules;  // one more route before the one that was there
  other.insert(other.find(route) + route.size(),
               "  - match: [{uri: {exact: /none}}]\n    directResponse: {status: 403}\n");
  ASSERT_EQ(http(webapp, {"-o", "/dev/null", "-w", "%{http_code}"}, "/none").out, "404");
  start_load(80);
  some_load();
  for (int i = 0; i < 5; i++) {
    apply("rules.yaml", i % 2 ? rules : other);
    apply("second.yaml", second_gateway(9000 + i, "a.example.com") + second_routes);
    EXPECT_TRUE(soon([&] {
      return http(webapp, {"-o", "/dev/null", "-w", "%{http_code}"}, "/none").out ==
             (i % 2 ? "404" : "403");
    })) << gateway_log();
    some_load();
  }
  const auto said = end_load();
  EXPECT_TRUE(has(said, " requests, 0 failed, ")) << said << gateway_log();
  EXPECT_GT(std::atoi(said.c_str()), 300) << said;
}

TEST_F(GatewayLive, AKeptConnectionFollowsTheNewestRoutes) {
  up("ingress-http");
  auto rules = text_of_file("deploy/samples/ingress-http/rules.yaml");
  const std::string ask = R"(
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], timeout=30)
for line in sys.stdin:
    c.request("GET", "/api/catalog", headers={"Host": "webapp.istioinaction.io"})
    answer = c.getresponse()
    answer.read()
    print(answer.status, c.sock is not None, flush=True)
)";
  exec("client", {"mkfifo", "/tmp/go"});
  exec("client", {"sh", "-c",
                  "(exec 3<> /tmp/go; python3 -c \"$0\" " + gateway() +
                      " <&3 > /tmp/said 2>&1) > /dev/null 2>&1 &",
                  ask});
  const auto next = [&](int answers) {
    exec("client", {"sh", "-c", "echo > /tmp/go"});
    std::string said;
    soon([&] { return count(said = exec("client", {"cat", "/tmp/said"}).out, "\n") >= answers; });
    return said;
  };
  EXPECT_EQ(next(1), "200 True\n");
  rules.replace(rules.find("host: webapp\n"), 13, "host: nobody\n");
  apply("rules.yaml", rules);
  ASSERT_TRUE(soon([&] {
    return http(webapp, {"-o", "/dev/null", "-w", "%{http_code}"}, "/api/catalog").out == "503";
  })) << gateway_log();
  const auto said = next(2);
  EXPECT_TRUE(said.starts_with("200 True\n503 ")) << said;
}

TEST_F(GatewayLive, AGatewayThatNoGatewaySelectsSaysWhatItIs) {
  up("ingress-http");
  find_pod();
  EXPECT_FALSE(has(gateway_log(), "nothing is listened on"));
  auto rules = text_of_file("deploy/samples/ingress-http/rules.yaml");
  const std::string selector = "istio: ingressgateway";
  ASSERT_TRUE(has(rules, selector));
  apply("rules.yaml", rules.replace(rules.find(selector), selector.size(), "istio: ingress"));
  EXPECT_TRUE(gateway_logged("nothing is listened on: no server of a Gateway is for this pod"));
  EXPECT_TRUE(has(gateway_log(), "istio=ingressgateway")) << gateway_log();
}

TEST_F(GatewayLive, AGatewayWithPortsThatCantBeHadHarmsNobody) {
  up("ingress-http", {{"greedy.yaml",
                       "apiVersion: networking.istio.io/v1\nkind: Gateway\n"
                       "metadata: {name: greedy, namespace: istio-system}\nspec:\n"
                       "  selector: {istio: ingressgateway}\n  servers:\n"
                       "  - port: {number: 15021, name: http, protocol: HTTP}\n"
                       "    hosts: ['*']\n"
                       "  - port: {number: 7000, name: far, protocol: HTTP}\n"
                       "    bind: 192.0.2.9\n"
                       "    hosts: ['*']\n"}});
  EXPECT_TRUE(gateway_logged("greedy.yaml:7"));
  EXPECT_TRUE(has(gateway_log(), "server http is skipped: port 15021 is the proxy's own"))
      << gateway_log();
  EXPECT_TRUE(
      gateway_logged("192.0.2.9:7000: Cannot assign requested address; wanted by Gateway "
                     "istio-system/greedy (/etc/istio/config/greedy.yaml:9)"));
  EXPECT_TRUE(has(http(webapp, {"-i"}, "/api/catalog").out, "200 OK"));
}

}  // namespace
}  // namespace sallyport::behaviour
