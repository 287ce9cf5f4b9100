// Gateways: servers that conflict, pods that serve them, and VirtualServices behind them.
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

std::string gateway(const std::string& name, const std::string& servers,
                    const std::string& selector = "{istio: ingressgateway}") {
  return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " + name +
         "}\nspec:\n  selector: " + selector + "\n  servers:\n" + servers + "---\n";
}
std::string server(const std::string& name, const std::string& port, const std::string& hosts,
                   const std::string& tls = "") {
  return "  - port: {name: " + name + ", " + port + "}\n    hosts: [" + hosts + "]\n" +
         (tls.empty() ? "" : "    tls: {" + tls + "}\n");
}
std::string behind(const std::string& hosts, const std::string& rules,
                   const std::string& gateways = "gw") {
  return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n"
         "spec:\n  hosts: [" +
         hosts + "]\n  gateways: [" + gateways + "]\n" + rules + "---\n";
}
const std::string web =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
    "spec: {ports: [{port: 80, name: http}, {port: 443, name: tls}]}\n---\n";
const std::string http_rule =
    "  http: [{route: [{destination: {host: web, port: {number: 80}}}]}]\n";
const std::string tls_rule =
    "  tls: [{match: [{sniHosts: [a.test]}], route: [{destination: {host: web, port: {number: "
    "443}}}]}]\n";
const std::string pass = "number: 443, protocol: TLS", ended = "number: 443, protocol: HTTPS";
const std::string files = "mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem";

std::string pod(const std::string& labels, const std::string& space = "istio-system") {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: front, namespace: " + space +
         "}\nspec: {template: {metadata: {labels: " + labels +
         "}, spec: {containers: [{name: istio-proxy}]}}}\n---\n";
}
std::string front_service(const std::string& ports) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: front, namespace: istio-system}\n"
         "spec: {selector: {istio: ingressgateway}, ports: [" +
         ports + "]}\n---\n";
}

std::string told(const std::string& yaml) { return listed(analysis_of({{"g.yaml", yaml}})); }
// The lines of that code.
std::string told(const std::string& yaml, const std::string& code) {
  std::string out;
  for (const auto& one : analysis_of({{"g.yaml", yaml}}))
    if (one.code->id == code) out += one.resource() + " " + one.field + ": " + one.message + "\n";
  return out;
}

TEST(Gateways, ThatAreGoodAreNothingToSay) {
  EXPECT_EQ(told(web + pod("{istio: ingressgateway}") + front_service("{port: 80, name: http}") +
                 gateway("gw", server("http", "number: 80, protocol: HTTP", "a.test")) +
                 behind("a.test", http_rule)),
            "nothing\n");
}

TEST(ServersWithTheSameHostsOnAPort, AreAnErrorThatNamesBothAndTheirLines) {
  const auto yaml = gateway("gw", server("https", ended, "'*.test'", files) +
                                      server("passed", pass, "'*.test'", "mode: PASSTHROUGH"));
  const auto findings = analysis_of({{"g.yaml", yaml}});
  const auto all = listed(findings);
  EXPECT_TRUE(has(all,
                  "IST0145 Gateway gw.default g.yaml:10 spec.servers: Conflict with gateways: "
                  "server passed is skipped: on port 443 the host *.test is already that of "
                  "server https of Gateway default/gw (g.yaml:7)"))
      << all;
  EXPECT_FALSE(has(all, "SLP0901")) << all;
}

TEST(ServersWithTheSameHostsOnAPort, AreFoundAcrossGatewaysAndTranslatedPorts) {
  const auto two = gateway("a", server("s", ended, "x.test", files)) +
                   gateway("b", server("t", "number: 8443, protocol: HTTPS", "x.test", files));
  EXPECT_EQ(told(two, "IST0145"), "");
  const auto translated = front_service("{port: 443, targetPort: 8443, name: https}");
  EXPECT_TRUE(
      has(told(two + pod("{istio: ingressgateway}") + translated, "IST0145"), "Gateway b.default"));
  const auto elsewhere = gateway("a", server("s", ended, "x.test", files)) +
                         gateway("b", server("t", ended, "x.test", files), "{istio: egress}");
  EXPECT_EQ(told(elsewhere, "IST0145"), "") << "another gateway's proxy";
}

TEST(ServersOfOnePort, ConflictByProtocolToo) {
  EXPECT_TRUE(has(told(gateway("gw", server("http", "number: 80, protocol: HTTP", "a.test") +
                                         server("tcp", "number: 80, protocol: TCP", "'*'"))),
                  "SLP0901 Gateway gw.default g.yaml:9 spec.servers: server tcp is skipped: "
                  "protocol TCP conflicts"));
}

TEST(AGatewaysSelector, ThatTakesNoPodIsNamedWhereThereAreSome) {
  const auto gw = gateway("gw", server("http", "number: 80, protocol: HTTP", "a.test"));
  EXPECT_EQ(told(gw, "IST0101"), "") << "no pods are given at all";
  EXPECT_EQ(told(gw + pod("{istio: ingressgatewy}"), "IST0101"),
            "Gateway gw.default spec.selector: Referenced selector not found: "
            "\"istio=ingressgateway\"\n");
  EXPECT_EQ(told(gw + pod("{istio: ingressgateway}"), "IST0101"), "");
}

TEST(AServersPort, ThatNoServiceOfThePodsHasIsNamed) {
  const auto gw = gateway("gw", server("http", "number: 8080, protocol: HTTP", "a.test"));
  const auto with = [&](const std::string& ports) {
    return told(gw + pod("{istio: ingressgateway}") + front_service(ports), "IST0162");
  };
  EXPECT_EQ(with("{port: 80, name: http}"),
            "Gateway gw.default spec.servers[0].port.number: The gateway is listening on a target "
            "port (port 8080) that is not defined in the Service associated with its workload "
            "instances (Pod selector istio=ingressgateway). If you need to access the gateway port "
            "through the gateway Service, it will not be available.\n");
  EXPECT_EQ(with("{port: 8080, name: http}"), "");
  EXPECT_EQ(with("{port: 80, targetPort: 8080, name: http}"), "");
  EXPECT_EQ(told(gw + pod("{istio: ingressgateway}"), "IST0162"), "") << "no Services are given";
}

TEST(HttpRules, BehindServersThatPassTlsThroughAreNamed) {
  const auto passed = server("passed", pass, "a.test", "mode: PASSTHROUGH");
  EXPECT_TRUE(has(told(web + gateway("gw", passed) + behind("a.test", http_rule), "SLP0506"),
                  "VirtualService v.default spec.http: the gateway sees no requests: server passed "
                  "of Gateway default/gw (g.yaml:12) passes TLS through"));
  const auto both = passed + server("http", "number: 80, protocol: HTTP", "a.test");
  EXPECT_EQ(told(web + gateway("gw", both) + behind("a.test", http_rule), "SLP0506"), "");
  EXPECT_EQ(told(web + gateway("gw", passed) + behind("a.test", http_rule, "gw, mesh"), "SLP0506"),
            "")
      << "sidecars have them";
}

TEST(TlsRules, BehindServersThatEndTlsAreNamed) {
  const auto https = server("https", ended, "a.test", files);
  EXPECT_TRUE(has(told(web + gateway("gw", https) + behind("a.test", tls_rule), "SLP0507"),
                  "VirtualService v.default spec.tls: server https of Gateway default/gw "
                  "(g.yaml:12) passes no TLS through"));
  const auto passed = server("passed", pass, "a.test", "mode: PASSTHROUGH");
  EXPECT_EQ(told(web + gateway("gw", passed) + behind("a.test", tls_rule), "SLP0507"), "");
}

TEST(AWildcardBehindAnExactHost, IsSaidToBeServedInPart) {
  const auto http = [](const std::string& hosts) {
    return gateway("gw", server("http", "number: 80, protocol: HTTP", hosts));
  };
  EXPECT_EQ(told(web + http("a.test") + behind("'*.test'", http_rule), "SLP0508"),
            "VirtualService v.default spec.hosts[0]: of *.test the gateway serves a.test alone: "
            "server http of Gateway default/gw (g.yaml:12) has no wildcard\n");
  EXPECT_EQ(told(web + http("a.test, '*.test'") + behind("'*.test'", http_rule), "SLP0508"), "");
  EXPECT_EQ(told(web + http("'*'") + behind("'*.test'", http_rule), "SLP0508"), "");
}

TEST(AnEgressGatewaysHalf, OfTheRulesForAnOutsideHostIsNothingThatPodsGoPast) {
  const std::string outside =
      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: o}\nspec: {hosts: "
      "[o.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n---\n";
  const auto gw = gateway("gw", server("http", "number: 80, protocol: HTTP", "o.test"));
  const auto half = behind("o.test", http_rule);
  const std::string for_pods =
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: m}\n"
      "spec:\n  hosts: [o.test]\n" +
      http_rule + "---\n";
  EXPECT_TRUE(has(told(web + outside + gw + half, "SLP0503"), "does not list mesh"));
  EXPECT_EQ(told(web + outside + gw + half + for_pods, "SLP0503"), "");
}

TEST(TlsBelow12, WithoutCiphersIsTheWarningOfIstiosSchema) {
  const auto old = server("https", ended, "a.test", files + ", minProtocolVersion: TLSV1_0");
  EXPECT_TRUE(has(told(gateway("gw", old), "IST0133"), "TLS version below TLSV1_2"));
}

std::string telemetry(const std::string& name, const std::string& spec) {
  return "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: " + name +
         "}\nspec: " + spec + "\n---\n";
}

TEST(Telemetries, OfOneNamespaceOrPodAreNamedWithIstiosWords) {
  const std::string log = "accessLogging: [{providers: [{name: envoy}]}]";
  EXPECT_EQ(told(telemetry("a", "{" + log + "}") + telemetry("b", "{" + log + "}"), "IST0160"),
            "Telemetry a.default metadata.name: The Telemetries [a b] in namespace \"default\" "
            "have no workload selector, which can lead to undefined behavior.\n"
            "Telemetry b.default metadata.name: The Telemetries [a b] in namespace \"default\" "
            "have no workload selector, which can lead to undefined behavior.\n");
  const auto selecting = "{selector: {matchLabels: {app: x}}, " + log + "}";
  const auto pods = pod("{app: x}", "default");
  EXPECT_TRUE(has(told(pods + telemetry("a", selecting) + telemetry("b", selecting), "IST0159"),
                  "Telemetry b.default metadata.name: The Telemetries [a b] in namespace "
                  "\"default\" select the same workload pod \"front\""));
  EXPECT_EQ(told(pods + telemetry("a", selecting), "IST0159"), "");
  EXPECT_EQ(told(pod("{app: y}", "default") + telemetry("a", selecting), "IST0101"),
            "Telemetry a.default spec.selector.matchLabels: Referenced selector not found: "
            "\"app=x\"\n");
}

TEST(Telemetries, WhatHasNoEffectIsNamedWhateverPodsThereAre) {
  const auto custom =
      telemetry("a", "{metrics: [{overrides: [{match: {customMetric: mine}, disabled: true}]}]}");
  const std::string worlds[] = {"", pod("{app: x}"),
                                gateway("gw", server("http", "number: 80, protocol: HTTP", "'*'"))};
  for (const std::string& more : worlds) {
    EXPECT_EQ(told(more + custom, "SLP0902"),
              "Telemetry a.default spec.metrics[0].overrides[0].match.customMetric: has no effect: "
              "there are Istio's standard metrics only\n")
        << more;
  }
}

TEST(Telemetries, WithoutAProviderAreSaidToBeIgnored) {
  const auto empty = telemetry("a", "{accessLogging: [{}]}");
  EXPECT_TRUE(has(told(empty, "IST0157"),
                  "The Telemetry a in namespace \"default\" with empty providers will be ignored"));
  EXPECT_EQ(told(mesh_config("defaultProviders: {accessLogging: [envoy]}") + empty, "IST0157"), "");
}

}  // namespace
}  // namespace sallyport::analyze
