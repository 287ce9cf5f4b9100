// `sallyport explain` of manifests as they lie in a repository: nothing has an address yet, and no
// pod runs. What `inject` would make of them counts.
#include <filesystem>
#include <fstream>

#include "agent/cli/explain.h"
#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

constexpr const char* server = R"(apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80, name: http, targetPort: web}, {port: 9000, name: tcp, targetPort: 9000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: app, ports: [{name: web, containerPort: 8080}]}]
)";
constexpr const char* strict = R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
)";
constexpr const char* client = R"(apiVersion: v1
kind: Pod
metadata: {name: sleep, namespace: shop, labels: {app: sleep}}
spec: {serviceAccountName: sleep, containers: [{name: sleep}]}
)";

class ExplainManifests : public testing::Test {
protected:
  ExplainManifests() {
    char path[] = "/tmp/sallyport-manifests-XXXXXX";
    directory_ = mkdtemp(path);
    write("server.yaml", server);
    write("client.yaml", client);
    write("strict.yaml", strict);
  }
  ~ExplainManifests() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
  }
  Outcome ask(const std::string& to, const std::string& from = "sleep") {
    return run_command(run_explain, {"--to", to, "--from", from, directory_.string()});
  }
  // `text` with `from` replaced.
  static std::string edited(std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  }
  void expect_refused(const Outcome& told, const std::string& reason) {
    EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
    EXPECT_TRUE(has(told.output, reason)) << told.output;
    EXPECT_TRUE(has(told.output,
                    "REFUSED: by the server's sidecar, shop/web: mutual TLS is STRICT there, and "
                    "the client sends none: the connection is reset"))
        << told.output;
  }
  std::filesystem::path directory_;
};

TEST_F(ExplainManifests, TemplatesAreEndpointsAsInjectLeavesThem) {
  const auto told = ask("http://web/");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  for (const char* part : {"auto mTLS: ISTIO_MUTUAL to endpoints that take it",
                           "the certificate must name spiffe://cluster.local/ns/shop/sa/web",
                           "endpoint of port 8080 (Deployment shop/web) has tlsMode istio",
                           "STRICT → mutual TLS", "(address not known yet):8080",
                           "STRICT on port 8080; the client sends mutual TLS", "It goes through."})
    EXPECT_TRUE(has(told.output, part)) << part << "\n" << told.output;
}

TEST_F(ExplainManifests, APodThatRunsCountsInPlaceOfItsTemplate) {
  write("pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web-1\n  namespace: shop\n"
        "  labels: {app: web, security.istio.io/tlsMode: istio}\n"
        "spec: {containers: [{name: istio-proxy}, {name: app, ports: "
        "[{name: web, containerPort: 8080}]}]}\nstatus: {podIP: 10.1.2.3}\n");
  const auto told = ask("http://web/");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "10.1.2.3:8080")) << told.output;
  EXPECT_FALSE(has(told.output, "address not known yet")) << told.output;
}

TEST_F(ExplainManifests, NamesAreCompletedAsAPodsResolverDoes) {
  for (const char* name : {"web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"}) {
    const auto told = ask("tcp://" + std::string(name) + ":9000");
    EXPECT_EQ(told.exit_code, 0) << name << told.output << told.errors;
    EXPECT_TRUE(has(told.output, "stands for an address of Service shop/web (")) << told.output;
    EXPECT_TRUE(has(told.output, "outbound|9000||web.shop.svc.cluster.local")) << told.output;
  }
}

TEST_F(ExplainManifests, OfAHeadlessServiceAPodIsDialled) {
  write("server.yaml", edited(server, "spec:\n", "spec:\n  clusterIP: None\n"));
  const auto told = ask("tcp://web.shop:9000");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "outbound|9000||web.shop.svc.cluster.local")) << told.output;
}

TEST_F(ExplainManifests, AServerWithoutASidecarGetsItAsItIs) {
  write("server.yaml", edited(server, "labels: {app: web}",
                              "labels: {app: web, sidecar.istio.io/inject: 'false'}"));
  const auto told = ask("http://web/");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "shop/web has no sidecar: sidecar.istio.io/inject is \"false\""))
      << told.output;
  EXPECT_TRUE(has(told.output, "→ plaintext")) << told.output;
}

TEST_F(ExplainManifests, AServiceWithoutKnownPodsIsNotJudged) {
  write("server.yaml", std::string(server).substr(0, std::string(server).find("---")));
  const auto told = ask("http://web/");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "nothing is known of the pods behind it")) << told.output;
}

TEST_F(ExplainManifests, AClientWithoutASidecarSendsPlaintextToTheServersOne) {
  const std::string label = "labels: {app: sleep}";
  const auto off = [&](const std::string& text, const std::string& why) {
    write("client.yaml", text);
    const auto told = ask("http://web/");
    expect_refused(told, "not captured: " + why);
    EXPECT_TRUE(has(told.output, "the client sends no mutual TLS")) << told.output;
  };
  off(edited(client, label, "labels: {app: sleep, sidecar.istio.io/inject: 'false'}"),
      "sidecar.istio.io/inject is \"false\"");
  off(client + std::string("status: {podIP: 10.1.2.9}\n"),
      "the pod runs without a container istio-proxy");
}

TEST_F(ExplainManifests, ANamespaceWithoutInjectionHasNoSidecars) {
  write("client.yaml", client + std::string("---\napiVersion: v1\nkind: Namespace\nmetadata:\n"
                                            "  name: shop\n"
                                            "  labels: {istio-injection: disabled}\n"));
  const auto told = ask("http://web/");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "not captured: namespace shop has istio-injection: disabled"))
      << told.output;
  EXPECT_TRUE(has(told.output, "shop/web has no sidecar: namespace shop")) << told.output;
}

TEST_F(ExplainManifests, APodsAddressLeadsToItsSidecar) {
  write("pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  namespace: shop\n"
        "  labels: {security.istio.io/tlsMode: istio}\n"
        "spec: {containers: [{name: istio-proxy}]}\nstatus: {podIP: 10.1.2.3}\n");
  expect_refused(ask("http://10.1.2.3:8080/"), "PassthroughCluster");
}

TEST_F(ExplainManifests, TheClientsAddressIsKnownOfItsPodAndMissedOnlyWhereARuleAsks) {
  const auto policy = [](const std::string& from) {
    return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
           "metadata: {name: a, namespace: shop}\nspec:\n  rules:\n  - from: [{source: {" +
           from + "}}]\n";
  };
  const std::string unknown = "the client's address, which a rule asks for, is not known here";
  write("policy.yaml", policy("namespaces: [shop]"));
  EXPECT_FALSE(has(ask("http://web/").output, "address, which")) << ask("http://web/").output;
  write("policy.yaml", policy("ipBlocks: [10.1.2.9]"));
  EXPECT_TRUE(has(ask("http://web/").output, unknown)) << ask("http://web/").output;
  write("client.yaml",
        edited(client, "{name: sleep}]", "{name: istio-proxy}]") + "status: {podIP: 10.1.2.9}\n");
  const auto told = ask("http://web/");
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_FALSE(has(told.output, unknown)) << told.output;
}

TEST_F(ExplainManifests, ABareNameIsFoundInAnyNamespaceAndInItsOwnFirst) {
  EXPECT_TRUE(has(ask("http://web/", "sleep").output, "from shop/sleep (app=sleep)"));
  write("other.yaml", edited(client, "namespace: shop, labels: {app: sleep}",
                             "namespace: zoo, labels: {app: other}"));
  const auto told = run_command(run_explain, {"--to", "http://web.shop/", "--from", "sleep",
                                              "--namespace", "zoo", directory_.string()});
  EXPECT_TRUE(has(told.output, "from zoo/sleep (app=other)")) << told.output << told.errors;
  EXPECT_TRUE(has(ask("http://web.shop/", "zoo/sleep").output, "from zoo/sleep (app=other)"));
}

}  // namespace
}  // namespace sallyport::cli
