// What DestinationRules send and PeerAuthentications take; Sidecars and pods as Istio's analyzers
// have them.
#include <algorithm>

#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

std::string rule(const std::string& policy, const std::string& more = "") {
  return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
         "metadata: {name: r, namespace: foo}\nspec: {host: web, trafficPolicy: " +
         policy + more + "}\n---\n";
}
std::string pod(const std::string& name, const std::string& labels,
                const std::string& space = "foo") {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
         ", namespace: " + space + "}\nspec: {template: {metadata: {labels: {" + labels +
         "}}, spec: {containers: [{name: app, ports: [{name: web, containerPort: "
         "8080}]}]}}}\n---\n";
}
const std::string service =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: foo}\nspec: {selector: {app: "
    "web}, ports: [{port: 80, name: http, targetPort: web}, {port: 81, name: tcp}]}\n---\n";
const std::string web = service + pod("web", "app: web");

// "CODE resource field", a line each, of these codes.
std::string found(const std::string& yaml, const std::vector<std::string>& codes) {
  std::string out;
  for (const auto& one : analysis_of({{"f.yaml", yaml}})) {
    if (std::find(codes.begin(), codes.end(), one.code->id) != codes.end())
      out += std::string(one.code->id) + " " + one.resource() + " " + one.field + "\n";
  }
  return out;
}
std::string modes(const std::string& yaml) { return found(yaml, {"SLP0210", "SLP0211"}); }

TEST(MutualTlsEnds, WhatARuleSendsAndAPolicyRefusesIsFound) {
  const std::string strict = peer_authentication("{mtls: {mode: STRICT}}"),
                    off = peer_authentication("{mtls: {mode: DISABLE}}"), permissive;
  const std::string at = " DestinationRule r.foo spec.trafficPolicy.tls\n";
  EXPECT_EQ(modes(web + strict + rule("{tls: {mode: DISABLE}}")), "SLP0210" + at);
  EXPECT_EQ(modes(web + strict + rule("{tls: {mode: SIMPLE}}")), "SLP0210" + at);
  EXPECT_EQ(modes(web + off + rule("{tls: {mode: ISTIO_MUTUAL}}")), "SLP0211" + at);
  EXPECT_EQ(modes(service + strict + rule("{tls: {mode: DISABLE}}")), "SLP0210" + at)
      << "no pods are given: the selector stands for them";
  for (const auto& good : {web + strict + rule("{tls: {mode: ISTIO_MUTUAL}}"),
                           web + permissive + rule("{tls: {mode: DISABLE}}"),
                           web + off + rule("{tls: {mode: DISABLE}}"),
                           web + strict +
                               rule("{tls: {mode: MUTUAL, clientCertificate: /c, "
                                    "privateKey: /k, caCertificates: /ca}}")})
    EXPECT_EQ(modes(good), "") << good;
}

TEST(MutualTlsEnds, APortsOwnModeAndSettingsCount) {
  const std::string lax = peer_authentication(
      "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {8080: "
      "{mode: PERMISSIVE}}}");
  const std::string of_port = "{portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}";
  EXPECT_EQ(modes(web + lax + rule(of_port)), "");
  EXPECT_EQ(modes(web + peer_authentication("{mtls: {mode: STRICT}}") + rule(of_port)),
            "SLP0210 DestinationRule r.foo spec.trafficPolicy.portLevelSettings[0].tls\n");
  EXPECT_EQ(modes(web + lax + rule("{tls: {mode: DISABLE}}")),
            "SLP0210 DestinationRule r.foo spec.trafficPolicy.tls\n")
      << "port 81 is STRICT";
}

TEST(MutualTlsEnds, PodsWithoutASidecarTakeWhatComes) {
  EXPECT_EQ(modes(service + pod("web", "app: web, sidecar.istio.io/inject: 'false'") +
                  peer_authentication("{mtls: {mode: STRICT}}") + rule("{tls: {mode: DISABLE}}")),
            "");
}

TEST(MutualTlsEnds, CauseAndCureNameBothEnds) {
  const auto all =
      listed(analysis_of({{"f.yaml", web + peer_authentication("{mtls: {mode: STRICT}}") +
                                         rule("{tls: {mode: DISABLE}}")}}));
  EXPECT_TRUE(has(all,
                  "mode DISABLE for port 80 of web.foo.svc.cluster.local: Deployment foo/web "
                  "(f.yaml:6) takes on port 8080 Istio's mutual TLS alone (STRICT by "
                  "PeerAuthentication foo/p (f.yaml:"))
      << all;
  EXPECT_TRUE(has(all, "| set tls.mode ISTIO_MUTUAL, or leave tls out")) << all;
}

TEST(PortLevelMtls, ByAServicesPortHasNoEffect) {
  const auto of = [](const std::string& port) {
    return web + peer_authentication("{selector: {matchLabels: {app: web}}, portLevelMtls: {" +
                                     port + ": {mode: DISABLE}}}");
  };
  EXPECT_EQ(found(of("80"), {"SLP0703"}),
            "SLP0703 PeerAuthentication p.foo spec.portLevelMtls.80\n");
  const auto all = listed(analysis_of({{"f.yaml", of("80")}}));
  EXPECT_TRUE(has(all, "| write 8080, its targetPort")) << all;
  EXPECT_EQ(found(of("8080"), {"SLP0703"}), "");
  EXPECT_EQ(found(of("81"), {"SLP0703"}), "") << "it has no targetPort: the pods serve it";
  EXPECT_EQ(found(of("9999"), {"SLP0703"}), "") << "of no Service: perhaps the pods listen there";
}

std::string sidecar(const std::string& name, const std::string& spec) {
  return "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " + name +
         ", namespace: foo}\nspec: " + spec + "\n---\n";
}
const std::string egress = "egress: [{hosts: ['./*']}]";

TEST(Sidecars, ASelectorOfNoPodIsAReferenceToNothing) {
  const auto all = listed(analysis_of(
      {{"f.yaml",
        web + sidecar("s", "{workloadSelector: {labels: {app: bogus}}, " + egress + "}")}}));
  EXPECT_TRUE(has(all, "IST0101 Sidecar s.foo")) << all;
  EXPECT_TRUE(has(all, "Referenced selector not found: \"app=bogus\"")) << all;
  EXPECT_FALSE(has(all, "IST0127")) << all;
}

TEST(Sidecars, ThoseThatSelectOnePodConflict) {
  const std::string selects = "{workloadSelector: {labels: {app: web}}, " + egress + "}";
  const auto all =
      listed(analysis_of({{"f.yaml", web + sidecar("b", selects) + sidecar("a", selects)}}));
  for (const char* name : {"a", "b"})
    EXPECT_TRUE(has(all, std::string("IST0110 Sidecar ") + name + ".foo")) << all;
  EXPECT_TRUE(has(all,
                  "The Sidecars [a b] in namespace \"foo\" select the same workload pod \"web\", "
                  "which can lead to undefined behavior."))
      << all;
}

TEST(Sidecars, ANamespaceHasOneWithoutSelector) {
  const auto all = listed(analysis_of(
      {{"f.yaml", sidecar("b", "{" + egress + "}") + sidecar("a", "{" + egress + "}")}}));
  EXPECT_TRUE(has(all,
                  "The Sidecars [a b] in namespace \"foo\" have no workload selector, which can "
                  "lead to undefined behavior."))
      << all;
  EXPECT_TRUE(has(all, "IST0111 Sidecar a.foo")) << all;
  EXPECT_EQ(found(sidecar("b", "{" + egress + "}"), {"IST0110", "IST0111", "IST0101"}), "");
}

TEST(InjectedNamespaces, APodWithoutTheProxyIsNamed) {
  const auto space = [](const std::string& value) {
    return "apiVersion: v1\nkind: Namespace\nmetadata: {name: foo, labels: {istio-injection: " +
           value + "}}\n---\n";
  };
  const auto bare = [](const std::string& container, const std::string& labels = "{}") {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: foo, labels: " + labels +
           "}\nspec: {containers: [{name: " + container + "}]}\n---\n";
  };
  const std::vector<std::string> code = {"IST0103"};
  EXPECT_EQ(found(space("enabled") + bare("app"), code), "IST0103 Pod web.foo metadata.name\n");
  EXPECT_TRUE(has(listed(analysis_of({{"f.yaml", space("enabled") + bare("app")}})),
                  "The pod foo/web is missing the Istio proxy. This can often be resolved by "
                  "restarting or redeploying the workload."));
  EXPECT_EQ(found(space("enabled") + bare("istio-proxy"), code), "");
  EXPECT_EQ(found(space("disabled") + bare("app"), code), "");
  EXPECT_EQ(found(bare("app"), code), "");
  EXPECT_EQ(found(space("enabled") + bare("app", "{sidecar.istio.io/inject: 'false'}"), code), "");
}

TEST(Policies, WithoutPodsAreNamedWhereOthersHaveSome) {
  const auto authorization = [](const std::string& space, const std::string& spec) {
    return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, "
           "namespace: " +
           space + "}\nspec: " + spec + "\n---\n";
  };
  const std::vector<std::string> code = {"IST0127"};
  const std::string bogus = "{selector: {matchLabels: {app: bogus}}, rules: [{}]}";
  EXPECT_EQ(found(web + authorization("istio-system", bogus), code),
            "IST0127 AuthorizationPolicy a.istio-system spec.selector.matchLabels\n");
  EXPECT_EQ(found(web + authorization("empty", "{rules: [{}]}"), code),
            "IST0127 AuthorizationPolicy a.empty spec.selector.matchLabels\n");
  EXPECT_EQ(found(web + authorization("foo", "{rules: [{}]}"), code), "");
  EXPECT_EQ(found(web + authorization("istio-system", "{rules: [{}]}"), code), "");
  EXPECT_EQ(found(authorization("empty", bogus), code), "") << "no pods are given at all";
}

TEST(FalseAlarms, AServiceFromARepositoryHasNoAddressYet) {
  const auto all =
      listed(analysis_of({{"f.yaml", web + peer_authentication("{mtls: {mode: STRICT}}")}}));
  EXPECT_EQ(all.find("SLP0902"), std::string::npos) << all;
}

TEST(FalseAlarms, ANamespaceExistsWhereSomethingLiesInIt) {
  const auto from = [](const std::string& names) {
    return "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n" + web +
           "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, "
           "namespace: foo}\nspec: {rules: [{from: [{source: {namespaces: [" +
           names + "]}}]}]}\n";
  };
  EXPECT_EQ(found(from("default, foo, shop"), {"IST0101"}), "");
  EXPECT_EQ(found(from("shoop"), {"IST0101"}),
            "IST0101 AuthorizationPolicy a.foo spec.rules[0].from[0].source.namespaces[0]\n");
}

TEST(RefusedSidecars, AreSaidToHoldTheirWorkloadsToTheRegistry) {
  const auto all = listed(analysis_of({{"f.yaml", sidecar("s", "{egress: [{hosts: [web]}]}")}}));
  EXPECT_TRUE(has(all, "IST0106 Sidecar s.foo")) << all;
  EXPECT_TRUE(has(all, "keeps the Sidecar's last good version")) << all;
  EXPECT_TRUE(has(all, "held to REGISTRY_ONLY")) << all;
  EXPECT_FALSE(has(all, "closes")) << all;
}

TEST(RefusedGateways, CloseTheHostsThatTheyName) {
  const auto all = listed(analysis_of(
      {{"f.yaml",
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: "
        "foo}\nspec: {servers: [{port: {number: 99999, name: http, protocol: HTTP}, hosts: "
        "['*']}]}\n"}}));
  EXPECT_TRUE(has(all, "IST0106 Gateway g.foo")) << all;
  EXPECT_TRUE(has(all, "keeps the Gateway's last good version")) << all;
  EXPECT_TRUE(has(all, "closes the hosts it names, on its ports")) << all;
}

TEST(RefusedPolicies, CloseTheWorkloadsThatTheySelect) {
  const auto all =
      listed(analysis_of({{"f.yaml", peer_authentication("{mtls: {mode: STRICTEST}}")}}));
  EXPECT_TRUE(has(all, "closes the workloads it selects")) << all;
  EXPECT_FALSE(has(all, "closes the hosts")) << all;
}

}  // namespace
}  // namespace sallyport::analyze
