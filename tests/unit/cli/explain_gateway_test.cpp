// `sallyport explain --gateway`: as whom, and what the server's certificate says.
#include <ctime>
#include <filesystem>
#include <fstream>

#include "agent/cli/explain.h"
#include "tests/support/indented.h"
#include "tests/support/test_certs.h"
#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

constexpr const char* rules = R"(apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [shop.test]
    tls: {mode: SIMPLE, credentialName: shop}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.test]
  gateways: [gw]
  http:
  - match: [{headers: {x-team: {exact: a}}}]
    route: [{destination: {host: api.example.com, port: {number: 443}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: default}
spec:
  hosts: [api.example.com]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: default}
spec: {host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE, sni: api.example.com}}}
)";
constexpr const char* pod = R"(---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: istio-system}
spec: {template: {metadata: {labels: {istio: ingressgateway, app: front}}, spec: {containers: []}}}
)";

using test::indented;

class ExplainAtGateway : public testing::Test {
protected:
  ExplainAtGateway() {
    char path[] = "/tmp/sallyport-explain-XXXXXX";
    directory_ = mkdtemp(path);
    write("rules.yaml", std::string(rules) + pod);
    const auto pair = test::Authority::root("Root").issue({.common_name = "shop.test"});
    write("secret.yaml",
          "apiVersion: v1\nkind: Secret\nmetadata: {name: shop, namespace: istio-system}\n"
          "stringData:\n  tls.crt: |\n" +
              indented(pair.chain_pem) + "  tls.key: |\n" + indented(pair.key_pem));
  }
  ~ExplainAtGateway() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
  }
  Outcome ask(const std::string& gateway, std::vector<std::string> more = {}) {
    std::vector<std::string> words = {
        "--to", "https://shop.test/cart", "--gateway", gateway, "-H", "x-team: a"};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(directory_.string());
    return run_command(run_explain, std::move(words));
  }
  std::filesystem::path directory_;
};

TEST_F(ExplainAtGateway, TheWayIsToldFromTheClientsTlsToTheServers) {
  const auto told = ask("istio=ingressgateway");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  for (const auto* part :
       {"https://shop.test/cart at gateway istio-system/front (app=front,istio=ingressgateway)",
        "https.443.https.gw.default", "SIMPLE: ended here with kubernetes://shop",
        "CN=shop.test, issued by", "for header x-team exactly \"a\"",
        "outbound|443||api.example.com", "SIMPLE; SNI api.example.com", "It goes through."})
    EXPECT_TRUE(has(told.output, part)) << part << "\n" << told.output;
  EXPECT_FALSE(has(told.output, "TLS inside TLS")) << told.output;
  EXPECT_FALSE(has(told.output, "capture")) << told.output;
}

TEST_F(ExplainAtGateway, TheProxyIsAPodOrHasLabelsOrIsTheOneAsGiven) {
  for (const auto* name : {"front", "istio-system/front", "deploy/front", "app=front"})
    EXPECT_EQ(ask(name).exit_code, 0) << name;
  EXPECT_EQ(ask("self", {"-n", "istio-system", "--labels", "istio=ingressgateway"}).exit_code, 0);
  const auto other = ask("istio=egressgateway");
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_TRUE(has(other.output, "does not select this proxy")) << other.output;
  const auto nobody = ask("back");
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_TRUE(has(nobody.errors, "--gateway: no pod or workload is called back")) << nobody.errors;
}

TEST_F(ExplainAtGateway, AutoPassthroughTakesTheMeshesClientsOnly) {
  write("auto.yaml", R"(apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: east, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 15443, name: tls, protocol: TLS}
    hosts: ["*.local"]
    tls: {mode: AUTO_PASSTHROUGH}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: 10.0.0.9
  ports: [{port: 80, name: http}]
)");
  const auto as = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--to", "https://outbound_.80_._.web.default.svc.cluster.local:15443",
                             "--gateway", "istio=ingressgateway", directory_.string()});
    return run_command(run_explain, more);
  };
  const auto outsider = as({});
  EXPECT_EQ(outsider.exit_code, 1);
  EXPECT_TRUE(has(outsider.output, "mutual TLS of the mesh only, by its ALPN")) << outsider.output;
  const auto member = as({"--alpn", "istio-peer-exchange,istio"});
  EXPECT_TRUE(has(member.output, "outbound_.80_._.web.default.svc.cluster.local"))
      << member.output << member.errors;
  EXPECT_FALSE(has(member.output, "by its ALPN")) << member.output;
}

TEST_F(ExplainAtGateway, WithoutItsSecretTheHandshakeFails) {
  std::filesystem::remove(directory_ / "secret.yaml");
  const auto told = ask("istio=ingressgateway");
  EXPECT_EQ(told.exit_code, 1);
  EXPECT_TRUE(has(told.output, "Secret istio-system/shop (not there)")) << told.output;
  EXPECT_TRUE(has(told.output, "REFUSED: the handshake with the client fails: kubernetes://shop"))
      << told.output;
}

TEST_F(ExplainAtGateway, FromAndGatewayExcludeEachOther) {
  EXPECT_EQ(ask("front", {"--from", "front"}).exit_code, 2);
}

}  // namespace
}  // namespace sallyport::cli
