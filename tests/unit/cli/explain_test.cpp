// `sallyport explain`: each decision with the lines that made it.
#include "agent/cli/explain.h"

#include <filesystem>
#include <fstream>

#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

constexpr const char* originate = R"(apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: [api.example.com]
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
  - {number: 443, name: https, protocol: HTTPS}
  - {number: 5432, name: tcp, protocol: TCP}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api.example.com
  trafficPolicy:
    portLevelSettings:
    - port: {number: 80}
      tls:
        mode: SIMPLE
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: selected}
spec:
  workloadSelector: {matchLabels: {app: other}}
  host: api.example.com
  trafficPolicy: {tls: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: elsewhere, namespace: far}
spec:
  host: "*.example.com"
  trafficPolicy: {tls: {mode: DISABLE}}
)";

constexpr const char* routes = R"(apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split}
spec:
  hosts: [api.example.com]
  http:
  - name: old
    match: [{uri: {prefix: /old}, headers: {x-team: {exact: a}}}]
    redirect: {uri: /new}
  - name: share
    timeout: 3s
    retries: {attempts: 5}
    route:
    - {destination: {host: api.example.com, port: {number: 80}}, weight: 30}
    - {destination: {host: gone.example.com, port: {number: 80}}, weight: 70}
)";

constexpr const char* pod = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: sleep}
spec:
  template:
    metadata:
      labels: {app: sleep}
      annotations:
        traffic.sidecar.istio.io/excludeOutboundPorts: "5432"
        traffic.sidecar.istio.io/excludeOutboundIPRanges: 192.0.2.0/28
    spec: {containers: []}
)";

class Explain : public testing::Test {
protected:
  Explain() {
    char path[] = "/tmp/sallyport-explain-XXXXXX";
    directory_ = mkdtemp(path);
    write("rules.yaml", originate);
  }
  ~Explain() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
  }
  Outcome ask(std::vector<std::string> words) {
    words.push_back(directory_.string());
    return run_command(run_explain, std::move(words));
  }
  // "KIND NAME (FILE:LINE)" as a step ends with it.
  std::string place(const std::string& resource, const std::string& at) {
    return "[" + resource + " (" + (directory_ / at).string() + ")]";
  }
  std::filesystem::path directory_;
};

TEST_F(Explain, EveryStepNamesTheLineThatDecided) {
  const auto told = ask({"--to", "http://api.example.com/v1"});
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  for (const std::string& part :
       {std::string("GET http://api.example.com/v1 from default"),
        std::string("outbound|80||api.example.com; port 80 is declared HTTP"),
        place("ServiceEntry default/api", "rules.yaml:7"),
        std::string("this DestinationRule decides"),
        place("DestinationRule default/api", "rules.yaml:12"),
        std::string("SIMPLE; SNI api.example.com (from Host); the certificate must name "
                    "api.example.com"),
        std::string("every address of a DNS name: api.example.com:443"),
        std::string("It goes through.")})
    EXPECT_TRUE(has(told.output, part)) << part << "\n" << told.output;
}

TEST_F(Explain, AUnixSocketIsNamedAsTheEntryWritesIt) {
  write("local.yaml",
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: local}\nspec:\n"
        "  hosts: [local.example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n"
        "  resolution: STATIC\n  endpoints: [{address: 'unix:///run/local.sock', weight: 2}]\n");
  const auto told = ask({"--to", "http://local.example.com/"});
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "addresses as configured: unix:///run/local.sock (weight 2)"))
      << told.output;
}

TEST_F(Explain, RulesThatAreNotChosenHaveTheirReason) {
  const auto told = ask({"--to", "http://api.example.com/"});
  EXPECT_TRUE(has(told.output,
                  "rules.yaml:23) is not used: its workloadSelector app=other does "
                  "not select this proxy (labels: none)"))
      << told.output;
  EXPECT_TRUE(has(told.output, "rules.yaml:31) is not used: namespace far is not asked"))
      << told.output;
}

TEST_F(Explain, TheLabelsOfTheProxyDecide) {
  const auto told = ask({"--to", "http://api.example.com/", "--labels", "app=other"});
  EXPECT_EQ(told.exit_code, 0) << "plaintext goes through";
  EXPECT_TRUE(has(told.output, place("DestinationRule default/selected", "rules.yaml:23")))
      << told.output;
  EXPECT_TRUE(has(told.output, "- plaintext goes to port 443, where servers speak TLS"))
      << told.output;
}

TEST_F(Explain, WhatTheRequestAsksForItselfCounts) {
  write("routes.yaml", routes);
  const auto told = ask({"--to", "http://api.example.com/old", "-H", "x-envoy-max-retries: 1", "-H",
                         "x-envoy-retry-on: reset", "-H", "x-envoy-upstream-rq-timeout-ms: 250"});
  EXPECT_TRUE(has(told.output,
                  "at most 1 more tries on connect-failure, reset; an answer within "
                  "250ms"))
      << told.output;
  EXPECT_TRUE(has(told.output, "the request's own x-envoy-... fields count")) << told.output;
}

TEST_F(Explain, AWeightedRouteTellsEveryShare) {
  write("routes.yaml", routes);
  const auto told = ask({"--to", "http://api.example.com/old"});
  EXPECT_EQ(told.exit_code, 1);
  EXPECT_TRUE(has(told.output, place("VirtualService default/split", "routes.yaml:10")) ||
              has(told.output, "rule \"share\""))
      << told.output;
  EXPECT_TRUE(has(told.output,
                  "- rule \"old\" before it wants path prefix \"/old\" and header "
                  "x-team exactly \"a\""))
      << told.output;
  EXPECT_TRUE(has(told.output, "at most 5 more tries on connect-failure")) << told.output;
  EXPECT_TRUE(has(told.output, "; an answer within 3s")) << told.output;
  EXPECT_TRUE(has(told.output, "30% of the requests: outbound|80||api.example.com")) << told.output;
  EXPECT_TRUE(has(told.output, "70% of the requests: nowhere")) << told.output;
  EXPECT_TRUE(has(told.output, "REFUSED: there is no ")) << told.output;
}

TEST_F(Explain, HeadersAndMethodCount) {
  write("routes.yaml", routes);
  const auto told = ask({"--to", "http://api.example.com/old", "-H", "X-Team: a"});
  EXPECT_EQ(told.exit_code, 0) << told.output;
  EXPECT_TRUE(has(told.output, "The proxy answers: 301 (redirect to /new)")) << told.output;
}

TEST_F(Explain, APodsAnnotationsMayKeepItFromTheSidecar) {
  write("pod.yaml", pod);
  const auto port = ask({"--from", "sleep", "--to", "tcp://api.example.com:5432"});
  EXPECT_EQ(port.exit_code, 0);
  EXPECT_TRUE(has(port.output, "not captured: excludeOutboundPorts names 5432  " +
                                   place("Deployment default/sleep", "pod.yaml:9")))
      << port.output;
  EXPECT_TRUE(has(port.output, "The sidecar never sees it")) << port.output;
  const auto range = ask({"--from", "default/sleep", "--to", "http://api.example.com/"});
  EXPECT_TRUE(has(range.output, "excludeOutboundIPRanges holds 192.0.2.1")) << range.output;
  const auto other = ask(
      {"--from", "sleep.default", "--to", "http://api.example.com/", "--dialled", "192.0.2.99"});
  EXPECT_TRUE(has(other.output, "from default/sleep (app=sleep)")) << other.output;
  EXPECT_TRUE(has(other.output, "redirected to 15001: no annotation excludes 192.0.2.99:80"))
      << other.output;
  const auto nobody = ask({"--from", "slep", "--to", "http://api.example.com/"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_TRUE(has(nobody.errors, "no pod or workload is called slep; there are default/sleep"))
      << nobody.errors;
}

TEST_F(Explain, TheClientsOwnTlsPassesAndADoubleOneIsNamed) {
  const auto good = ask({"--to", "https://api.example.com/"});
  EXPECT_EQ(good.exit_code, 0) << good.output;
  EXPECT_TRUE(has(good.output, "TLS with SNI api.example.com")) << good.output;
  std::string twice(originate);
  twice.replace(twice.find("    - port: {number: 80}"), 24, "    - port: {number: 443}");
  write("rules.yaml", twice);
  const auto bad = ask({"--to", "https://api.example.com/"});
  EXPECT_EQ(bad.exit_code, 1) << bad.output;
  EXPECT_TRUE(has(bad.output,
                  "WOULD FAIL: TLS inside TLS: the client speaks TLS itself, and "
                  "DestinationRule default/api ("))
      << bad.output;
}

TEST_F(Explain, WhatIsRefusedSaysWhyAndWhere) {
  write("rule.yaml",
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        "metadata: {name: a-mutual}\nspec:\n  host: api.example.com\n"
        "  workloadSelector: {matchLabels: {app: sleep}}\n  trafficPolicy:\n"
        "    tls: {mode: MUTUAL, credentialName: absent}\n");
  const auto missing =
      ask({"--to", "http://api.example.com/", "--labels", "app=sleep", "--namespace", "default"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_TRUE(has(missing.output, "kubernetes://absent: NOT THERE: Secret default/absent: missing"))
      << missing.output;
  EXPECT_TRUE(has(missing.output, "REFUSED: DestinationRule default/a-mutual (")) << missing.output;
  write("mesh.yaml",
        "apiVersion: v1\nkind: ConfigMap\n"
        "metadata: {name: istio, namespace: istio-system}\n"
        "data: {mesh: \"outboundTrafficPolicy: {mode: REGISTRY_ONLY}\"}\n");
  const auto blocked = ask({"--to", "http://unlisted.example.com/"});
  EXPECT_EQ(blocked.exit_code, 1);
  EXPECT_TRUE(has(blocked.output, "REFUSED: 502: no service has this host")) << blocked.output;
  const auto closed = ask({"--to", "https://unlisted.example.com/"});
  EXPECT_EQ(closed.exit_code, 1);
  EXPECT_TRUE(has(closed.output, "REGISTRY_ONLY")) << closed.output;
}

TEST_F(Explain, JsonAndYamlSayTheSame) {
  const auto json = ask({"-o", "json", "--to", "http://api.example.com/"});
  EXPECT_EQ(json.exit_code, 0);
  for (const char* part : {"\"goesThrough\": true", "\"cluster\": \"outbound|80||api.example.com\"",
                           "\"step\": \"TLS\"", "\"decidedBy\": \"DestinationRule default/api ("})
    EXPECT_TRUE(has(json.output, part)) << part << "\n" << json.output;
  EXPECT_TRUE(
      has(ask({"-o", "yaml", "--to", "http://api.example.com/"}).output, "\ngoesThrough: true\n"));
}

TEST_F(Explain, ADelegatesRuleIsNamedWhereItStands) {
  write("root.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: root}\n"
        "spec:\n  hosts: [api.example.com]\n  http:\n  - delegate: {name: child}\n");
  write("child.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: child}\n"
        "spec:\n  http:\n  - name: in-child\n    route: [{destination: {host: api.example.com, "
        "port: {number: 80}}}]\n");
  const auto told = ask({"--to", "http://api.example.com/"});
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, place("VirtualService default/child", "child.yaml:6")))
      << told.output;
}

TEST_F(Explain, WithoutAnEndpointItDoesNotGoThrough) {
  write("empty.yaml",
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: empty}\nspec:\n"
        "  hosts: [empty.example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n"
        "  resolution: STATIC\n  workloadSelector: {labels: {app: none}}\n");
  const auto told = ask({"--to", "http://empty.example.com/"});
  EXPECT_EQ(told.exit_code, 1) << told.output;
  EXPECT_TRUE(has(told.output, "REFUSED: no endpoint is configured (503 UH)")) << told.output;
  EXPECT_TRUE(has(told.output, "It does NOT go through.")) << told.output;
}

TEST_F(Explain, MirrorsRedirectsOutlierDetectionAndHiddenServicesAreTold) {
  write("routes.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: m}\nspec:\n"
        "  hosts: [api.example.com]\n  http:\n"
        "  - match: [{uri: {exact: /old}}]\n"
        "    redirect: {uri: /new, authority: other.example.com}\n"
        "  - route: [{destination: {host: api.example.com, port: {number: 80}}}]\n"
        "    mirrors: [{destination: {host: api.example.com, port: {number: 443}}, "
        "percentage: {value: 10}}]\n"
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        "metadata: {name: a-older}\nspec:\n  host: api.example.com\n"
        "  workloadSelector: {matchLabels: {app: outlier}}\n"
        "  trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3, baseEjectionTime: 7s}, "
        "proxyProtocol: {version: V2}}\n"
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        "metadata: {name: hidden, namespace: far}\nspec:\n  hosts: [hidden.example.com]\n"
        "  exportTo: [.]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n"
        "  resolution: DNS\n");
  const auto moved = ask({"--to", "http://api.example.com/old"});
  EXPECT_TRUE(has(moved.output, "The proxy answers: 301 (redirect to other.example.com/new)"))
      << moved.output;
  const auto copied = ask({"--to", "http://api.example.com/", "--labels", "app=outlier"});
  EXPECT_TRUE(has(copied.output,
                  "- mirror: copies of 10% of the requests go to "
                  "outbound|443||api.example.com"))
      << copied.output;
  EXPECT_TRUE(has(copied.output,
                  "- outlierDetection: an endpoint is left out for 7s or more after "
                  "3 5xx in a row"))
      << copied.output;
  EXPECT_TRUE(has(copied.output,
                  "begins with a PROXY protocol header, version 2, that names the "
                  "client"))
      << copied.output;
  const auto hidden = ask({"--to", "http://hidden.example.com/"});
  EXPECT_TRUE(has(hidden.output, "- ServiceEntry far/hidden (")) << hidden.output;
  EXPECT_TRUE(has(hidden.output, "its exportTo does not reach namespace default")) << hidden.output;
}

TEST_F(Explain, ASidecarThatHidesTheServiceIsNamed) {
  write("cart.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec:\n"
        "  clusterIP: 198.51.100.7\n  ports: [{port: 80, name: http}]\n---\n"
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: narrow}\n"
        "spec: {egress: [{hosts: [istio-system/*]}]}\n");
  const auto told = ask({"--to", "http://cart.shop/"});
  const auto at = "(" + (directory_ / "cart.yaml:").string();
  EXPECT_TRUE(has(told.output, "- Service shop/cart " + at +
                                   "1) has this host, but Sidecar default/narrow " + at +
                                   "8) does not list it in egress hosts"))
      << told.output;
  EXPECT_FALSE(has(told.output, "declared TCP")) << told.output;
}

TEST_F(Explain, AWorkloadMayBeNamedAsKubectlDoes) {
  write("pod.yaml", pod);
  for (const char* name : {"deploy/sleep", "deployment/sleep", "deployments/sleep.default"}) {
    const auto told = ask({"--from", name, "--to", "http://api.example.com/"});
    EXPECT_TRUE(has(told.output, "from default/sleep (app=sleep)")) << name << told.errors;
  }
  EXPECT_EQ(ask({"--from", "pod/sleep", "--to", "http://api.example.com/"}).exit_code, 1);
}

struct UsageCase {
  std::vector<std::string> words;
  const char* told;
};
const UsageCase usage_cases[] = {
    {{}, "--to is required"},
    {{"--to", "api.example.com"}, "no URL, such as http://host:port/path"},
    {{"--to", "ftp://api.example.com"}, "http, https and tcp are known"},
    {{"--to", "tcp://api.example.com"}, "tcp needs a port"},
    {{"--to", "http://a.test:99999"}, "port 99999 is none"},
    {{"--to", "http://a.test", "--dialled", "x"}, "\"x\" is no IP address"},
    {{"--to", "http://a.test", "-H", "no colon"}, "--header: \"no colon\" is not \"Name: value\""},
    {{"--to", "http://a.test", "--form", "x"}, "did you mean \"--from\"?"},
};

TEST_F(Explain, AWrongCommandLineIsOneLineAndExitCode2) {
  for (const auto& c : usage_cases) {
    const auto outcome = ask(c.words);
    EXPECT_EQ(outcome.exit_code, 2) << c.told;
    EXPECT_TRUE(has(outcome.errors, c.told)) << outcome.errors;
    EXPECT_EQ(outcome.output, "");
  }
}

TEST_F(Explain, HelpHasExamples) {
  const auto outcome = run_command(run_explain, {"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(has(outcome.output, "Examples:\n    kubectl exec POD")) << outcome.output;
}

}  // namespace
}  // namespace sallyport::cli
