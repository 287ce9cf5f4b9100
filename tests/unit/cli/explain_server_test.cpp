// `sallyport explain` towards a workload of the mesh: the server's sidecar is asked, too.
#include "agent/cli/explain.h"
#include "tests/unit/cli/run.h"

#include <filesystem>
#include <fstream>

namespace sallyport::cli {
namespace {

constexpr const char* mesh = R"(apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  clusterIP: 198.51.100.5
  selector: {app: server}
  ports: [{port: 80, name: http, targetPort: web}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: server}
spec:
  template:
    metadata: {labels: {app: server}}
    spec: {containers: [{name: app, ports: [{name: web, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {serviceAccountName: client, containers: []}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plain}
spec:
  host: server
  trafficPolicy: {tls: {mode: DISABLE}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: server}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: server-1, labels: {kubernetes.io/service-name: server}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [198.18.0.9], conditions: {ready: true}}]
)";

class ExplainServer : public testing::Test {
protected:
  ExplainServer() {
    char path[] = "/tmp/sallyport-explain-server-XXXXXX";
    directory_ = mkdtemp(path);
    write("mesh.yaml", mesh);
  }
  ~ExplainServer() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
  }
  Outcome ask(std::vector<std::string> words) {
    words.insert(words.begin(), {"--to", "http://server/x", "--from", "client"});
    words.push_back(directory_.string());
    return run_command(run_explain, std::move(words));
  }
  std::filesystem::path directory_;
};

TEST_F(ExplainServer, WithoutPoliciesLetsItIn) {
  const auto told = ask({});
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output,
                  "server mTLS   default/server: PERMISSIVE on port 8080, Istio's default; the "
                  "client sends no mutual TLS"))
      << told.output;
  EXPECT_TRUE(has(told.output, "default/server: no AuthorizationPolicy selects it: allowed"))
      << told.output;
}

TEST_F(ExplainServer, NamesThePeerAuthenticationThatRefuses) {
  write("policy.yaml",
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\nspec:\n"
        "  selector: {matchLabels: {app: server}}\n  portLevelMtls:\n    8080: {mode: STRICT}\n");
  const auto told = ask({});
  EXPECT_EQ(told.exit_code, 1);
  EXPECT_TRUE(has(told.output,
                  "STRICT on port 8080; the client sends no mutual TLS  "
                  "[PeerAuthentication default/p (" +
                      (directory_ / "policy.yaml:7").string()))
      << told.output;
  EXPECT_TRUE(has(told.output,
                  "REFUSED: by the server's sidecar, default/server: mutual TLS is "
                  "STRICT there, and the client sends none"))
      << told.output;
}

TEST_F(ExplainServer, APortThatAnnotationsExcludeKnowsNoPolicy) {
  std::string excluded = mesh;
  const std::string labels = "metadata: {labels: {app: server}}";
  excluded.replace(excluded.find(labels), labels.size(),
                   "metadata: {labels: {app: server}, annotations: "
                   "{traffic.sidecar.istio.io/excludeInboundPorts: '9, 8080'}}");
  write("mesh.yaml", excluded);
  write("strict.yaml",
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: all}\n"
        "spec: {mtls: {mode: STRICT}}\n");
  const auto told = ask({});
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output,
                  "default/server: its annotations keep port 8080 from its sidecar: "
                  "PeerAuthentication and AuthorizationPolicy don't apply"))
      << told.output;
  // Istio's mutual TLS ends at nobody there.
  excluded.replace(excluded.find("mode: DISABLE"), 13, "mode: ISTIO_MUTUAL");
  write("mesh.yaml", excluded);
  const auto mutual = ask({});
  EXPECT_EQ(mutual.exit_code, 1) << mutual.output;
  EXPECT_TRUE(has(mutual.output,
                  "REFUSED: by the application of default/server: it gets the mesh's mutual TLS "
                  "itself, since port 8080 is not captured there"))
      << mutual.output;
}

TEST_F(ExplainServer, NamesTheAuthorizationPolicyThatDecides) {
  write("policy.yaml",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec:\n"
        "  rules:\n  - to: [{operation: {methods: [GET], paths: [/x], ports: ['8080']}}]\n---\n"
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: d}\nspec:\n"
        "  action: DENY\n  rules:\n  - when: [{key: 'request.headers[x-bad]', values: ['*']}]\n");
  const auto in = [&](const std::string& line) { return "[AuthorizationPolicy default/" + line; };
  const auto place = "(" + (directory_ / "policy.yaml:").string();
  const auto good = ask({});
  EXPECT_EQ(good.exit_code, 0) << good.output << good.errors;
  EXPECT_TRUE(has(good.output, "allowed, a client without identity  " + in("a " + place + "6)]")))
      << good.output;
  const auto bad = ask({"-H", "x-bad: 1"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_TRUE(has(bad.output, "denied: a client without identity  " + in("d " + place + "14)]")))
      << bad.output;
  EXPECT_TRUE(has(bad.output, "the server denies it by ns[default]-policy[d]-rule[0]"))
      << bad.output;
  const auto none = ask({"-X", "POST"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_TRUE(has(none.output, "no ALLOW policy of the server matches")) << none.output;
  EXPECT_TRUE(has(none.output, "- AuthorizationPolicy default/a " + place +
                                   "6) rule[0]: methods [GET] does not match POST"))
      << none.output;
}

}  // namespace
}  // namespace sallyport::cli
