// The TLS mistakes, one configuration each: which code, at which line and field, why, what to do.
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

// Lines 1 to 11; the host has HTTP on 80 (served at 443) and HTTPS on 443.
#define ENTRY                                                                 \
  "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"                  \
  "metadata: {name: api}\nspec:\n  hosts: [api.example.com]\n"                \
  "  ports:\n  - {number: 80, name: http, protocol: HTTP, targetPort: 443}\n" \
  "  - {number: 443, name: https, protocol: HTTPS}\n  resolution: DNS\n"      \
  "# line 10\n---\n"
// Lines 12 to 15.
#define RULE                                                    \
  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n" \
  "metadata: {name: api}\nspec:\n"

const Broken cases[] = {
    {"double TLS: tls of the whole host reaches the HTTPS port",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    tls:\n      mode: SIMPLE\n"
                "      caCertificates: /etc/ca.pem\n",
     "SLP0201", 18, "spec.trafficPolicy.tls",
     "port 443 of api.example.com is declared HTTPS (ServiceEntry default/api (rules.yaml:8))",
     "portLevelSettings"},
    {"double TLS: a port's tls on the HTTPS port (E9)",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls: {mode: SIMPLE}\n"
                "    - port: {number: 443}\n      tls: {mode: SIMPLE}\n",
     "SLP0201", 22, "spec.trafficPolicy.portLevelSettings[1].tls", "TLS inside TLS",
     "mode DISABLE"},
    {"plaintext to a TLS port: no rule originates", ENTRY, "SLP0202", 7, "spec.ports[0]",
     "plain HTTP of port 80 of api.example.com is sent to port 443",
     "add a DestinationRule with host api.example.com"},
    {"plaintext to a TLS port: the rule says DISABLE for it",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls: {mode: DISABLE}\n",
     "SLP0202", 7, "spec.ports[0]", "no DestinationRule originates TLS", "portLevelSettings"},
    {"plaintext to an endpoint's TLS port",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n"
     "  hosts: [api.example.com]\n  ports:\n  - {number: 80, name: http, protocol: HTTP}\n"
     "  resolution: DNS\n  endpoints:\n  - {address: a.example.com, ports: {http: 8443}}\n",
     "SLP0202", 7, "spec.ports[0]", "is sent to port 8443", "DestinationRule"},
    {"TLS to a plaintext port",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n"
     "  hosts: [api.example.com]\n  ports:\n  - {number: 80, name: http, protocol: HTTP}\n"
     "  resolution: DNS\n#\n#\n---\n" RULE
     "  host: api.example.com\n  trafficPolicy:\n    tls: {mode: SIMPLE}\n",
     "SLP0203", 18, "spec.trafficPolicy.tls", "TLS (mode SIMPLE) is sent to port 80",
     "targetPort: 443"},
    {"portLevelSettings with the targetPort",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n"
     "  hosts: [api.example.com]\n  ports:\n"
     "  - {number: 80, name: http, protocol: HTTP, targetPort: 8443}\n"
     "  resolution: STATIC\n  endpoints: [{address: 192.0.2.7, ports: {http: 8080}}]\n#\n---\n" RULE
     "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
     "    - port: {number: 8443}\n      tls: {mode: SIMPLE}\n",
     "SLP0204", 19, "spec.trafficPolicy.portLevelSettings[0].port.number",
     "api.example.com has no port 8443 (it has 80)", "write 80: 8443 is its targetPort"},
    {"portLevelSettings with a port that nobody has",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls: {mode: SIMPLE}\n"
                "    - port: {number: 81}\n      tls: {mode: SIMPLE}\n",
     "SLP0204", 21, "spec.trafficPolicy.portLevelSettings[1].port.number",
     "has no port 81 (it has 80, 443)", "name the port that clients dial"},
    {"an HTTP port 443",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n"
     "  hosts: [api.example.com]\n  ports:\n  - number: 443\n    name: http\n"
     "    protocol: HTTP\n  resolution: DNS\n",
     "SLP0209", 7, "spec.ports[0]", "port 443 of api.example.com is declared HTTP",
     "declare the protocol HTTPS"},
    {"an http-named port 443 of a Service",
     "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n"
     "  ports:\n  - port: 443\n    name: http-web\n",
     "SLP0209", 7, "spec.ports[0]", "(port name \"http-web\")", "HTTPS"},
    {"tls without a mode is DISABLE",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 443}\n      tls: {}\n"
                "    - {port: {number: 80}, tls: {mode: SIMPLE}}\n",
     "SLP0205", 20, "spec.trafficPolicy.portLevelSettings[0].tls", "tls without mode is DISABLE",
     "set mode: SIMPLE"},
    {"a port's entry drops the tls of the host",
     ENTRY RULE "  host: '*.example.com'\n  trafficPolicy:\n    tls: {mode: MUTUAL, "
                "clientCertificate: /c, privateKey: /k}\n"
                "    portLevelSettings:\n    - port: {number: 443}\n"
                "      loadBalancer: {simple: RANDOM}\n",
     "SLP0206", 20, "spec.trafficPolicy.portLevelSettings[0]", "the entry for port 443 has no tls",
     "repeat tls in the entry"},
    {"sni without names to check, under the system's CAs",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls:\n        mode: SIMPLE\n"
                "        sni: api.example.com\n",
     "SLP0207", 22, "spec.trafficPolicy.portLevelSettings[0].tls.sni",
     "any certificate of any CA of the system is accepted", "subjectAltNames: [api.example.com]"},
    {"insecureSkipVerify",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls:\n        mode: SIMPLE\n"
                "        insecureSkipVerify: true\n",
     "SLP0208", 22, "spec.trafficPolicy.portLevelSettings[0].tls.insecureSkipVerify",
     "neither chain nor name", "caCertificates"},
    {"no CA for the host",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n"
     "  hosts: [api.example.com]\n  ports:\n"
     "  - {number: 80, name: http, protocol: HTTP, targetPort: 443}\n  resolution: DNS\n#\n#\n"
     "---\n" RULE "  host: api.example.com\n  trafficPolicy:\n    tls: {mode: SIMPLE}\n",
     "IST0128", 18, "spec.trafficPolicy.tls",
     "no caCertificates are set to validate server identity for host: api.example.com",
     "set caCertificates"},
    {"no CA for a port",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls: {mode: SIMPLE}\n",
     "IST0129", 20, "spec.trafficPolicy.portLevelSettings[0].tls", "at port number:80",
     "set caCertificates"},
    {"subjectAltNames that no certificate has",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls:\n        mode: SIMPLE\n"
                "        subjectAltNames:\n        - api.example.com\n"
                "        - https://api.example.com\n",
     "SLP0401", 24, "spec.trafficPolicy.portLevelSettings[0].tls.subjectAltNames[1]", "is a URL",
     "exact names"},
    {"credentialName without workloadSelector",
     ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                "    - port: {number: 80}\n      tls:\n        mode: SIMPLE\n"
                "        credentialName: api-ca\n",
     "SLP0301", 22, "spec.trafficPolicy.portLevelSettings[0].tls.credentialName",
     "send plaintext to api.example.com", "add spec.workloadSelector"},
};

class TlsMistake : public testing::TestWithParam<Broken> {};
TEST_P(TlsMistake, IsFoundWithItsPlaceCauseAndCure) { expect_found(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Spec, TlsMistake, testing::ValuesIn(cases));

TEST(Tls, DoubleTlsIsOneFindingHoweverManyHostsTheRuleCovers) {
  std::string yaml;
  for (int i = 0; i < 3; i++) {
    yaml += "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e" +
            std::to_string(i) + "}\nspec:\n  hosts: [h" + std::to_string(i) +
            ".example.com]\n  ports: [{number: 443, name: https, protocol: TLS}]\n"
            "  resolution: DNS\n---\n";
  }
  yaml +=
      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: all}\n"
      "spec:\n  host: '*.example.com'\n  trafficPolicy: {tls: {mode: SIMPLE}}\n";
  const auto findings = analysis_of({{"rules.yaml", yaml}});
  int count = 0;
  for (const auto& one : findings) count += one.code->id == "SLP0201";
  EXPECT_EQ(count, 1) << listed(findings);
}

TEST(Tls, AUnixSocketHasNoPortToJudgeBy) {
  const std::string entry =
      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n"
      "  hosts: [api.example.com]\n"
      "  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]\n"
      "  resolution: STATIC\n  endpoints: [{address: ";
  EXPECT_TRUE(analysis_of({{"rules.yaml", entry + "'unix:///run/api.sock'}]\n"}}).empty());
  EXPECT_FALSE(analysis_of({{"rules.yaml", entry + "192.0.2.1}]\n"}}).empty()) << "port 443";
}

// Null: there is none.
const Finding* plaintext_in(const std::vector<Finding>& findings) {
  const auto at = std::find_if(findings.begin(), findings.end(),
                               [](const auto& one) { return one.code->id == "SLP0202"; });
  return at == findings.end() ? nullptr : &*at;
}

TEST(Tls, ASubsetThatTakesTheHostsTlsBackIsNamed) {
  const auto findings =
      analysis_of({{"rules.yaml", ENTRY RULE
                    "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                    "    - port: {number: 80}\n      tls: {mode: SIMPLE, caCertificates: /ca.pem}\n"
                    "  subsets:\n  - name: v1\n    labels: {version: v1}\n"
                    "    trafficPolicy:\n      tls: {mode: DISABLE}\n"}});
  const auto* at = plaintext_in(findings);
  ASSERT_TRUE(at) << listed(findings);
  EXPECT_EQ(at->line, 25);
  EXPECT_EQ(at->field, "spec.subsets[0].trafficPolicy.tls");
  EXPECT_NE(at->message.find("subset v1 says DISABLE in place of the host's tls (ServiceEntry "
                             "default/api (rules.yaml:7))"),
            at->message.npos)
      << at->message;
}

TEST(Tls, ASubsetWhoseEntryForThePortLeavesOutTlsIsNamed) {
  const auto findings =
      analysis_of({{"rules.yaml", ENTRY RULE
                    "  host: api.example.com\n  trafficPolicy:\n    portLevelSettings:\n"
                    "    - port: {number: 80}\n      tls: {mode: SIMPLE, caCertificates: /ca.pem}\n"
                    "  subsets:\n  - name: v1\n    labels: {version: v1}\n"
                    "    trafficPolicy:\n      portLevelSettings:\n"
                    "      - port: {number: 80}\n        loadBalancer: {simple: RANDOM}\n"}});
  const auto* at = plaintext_in(findings);
  ASSERT_TRUE(at) << listed(findings);
  EXPECT_EQ(at->line, 26);
  EXPECT_EQ(at->field, "spec.subsets[0].trafficPolicy.portLevelSettings[0]");
  EXPECT_NE(at->message.find("has an entry for the port without tls"), at->message.npos);
}

TEST(Tls, ARefusedRuleOfAnotherNamespaceClosesNothingForTheRest) {
  const auto findings =
      analysis_of({{"rules.yaml", ENTRY
                    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
                    "metadata: {name: api, namespace: other}\nspec:\n  host: api.example.com\n"
                    "  trafficPolicy: {tls: {mode: SIMPEL}}\n"}});
  EXPECT_TRUE(plaintext_in(findings)) << listed(findings);
}

TEST(Tls, AHostThatARefusedRuleClosesSendsNoPlaintext) {
  const auto findings =
      analysis_of({{"rules.yaml", ENTRY RULE "  host: api.example.com\n  trafficPolicy:\n"
                                             "    portLevelSettings:\n    - port: {number: 80}\n"
                                             "      tls: {mode: SIMPEL}\n"}});
  EXPECT_FALSE(findings.empty());
  EXPECT_FALSE(plaintext_in(findings)) << listed(findings);
}

TEST(Tls, OneFileMayMendWhatAnotherLacks) {
  const std::string rule =
      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
      "metadata: {name: api}\nspec:\n  host: api.example.com\n"
      "  trafficPolicy:\n    portLevelSettings:\n"
      "    - {port: {number: 80}, tls: {mode: SIMPLE, caCertificates: /c}}\n";
  const auto findings = analysis_of({{"entry.yaml", ENTRY}, {"rule.yaml", rule}});
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

}  // namespace
}  // namespace sallyport::analyze
