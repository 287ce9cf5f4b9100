// Secrets that Gateways name: where their pods read them, and whether a server can use them.
#include <ctime>

#include "tests/support/test_certs.h"
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

constexpr const char* front = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: istio-system}
spec: {template: {metadata: {labels: {istio: ingressgateway}}, spec: {containers: []}}}
---
)";

std::string gateway(const std::string& tls) {
  return std::string(front) +
         "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n"
         "  selector: {istio: ingressgateway}\n  servers:\n"
         "  - port: {number: 443, name: https, protocol: HTTPS}\n    hosts: [a.test]\n"
         "    tls: {" +
         tls + "}\n";
}

class GatewaySecrets : public testing::Test {
protected:
  struct Contents {
    std::string certificate, key, ca;
    std::string name = "web", space = "istio-system";
  };
  void add(const Contents& one) {
    std::string text = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + one.name +
                       ", namespace: " + one.space + "}\nstringData:\n  note: x\n";
    const auto value = [&](const char* key, const std::string& pem) {
      if (pem.empty()) return;
      text += std::string("  ") + key + ": |\n    ";
      for (const char c : pem) text += c == '\n' ? "\n    " : std::string(1, c);
      text += "\n";
    };
    value("tls.crt", one.certificate);
    value("tls.key", one.key);
    value("ca.crt", one.ca);
    secrets_ += text;
  }
  // "CODE RESOURCE FIELD: MESSAGE", a line a finding.
  std::string told(const std::string& tls) {
    std::string out;
    const auto findings = analysis_of({{"gateway.yaml", gateway(tls)}, {"secrets.yaml", secrets_}},
                                      std::time(nullptr));
    for (const auto& one : findings)
      out += std::string(one.code->id) + " " + one.resource() + " " + one.field + ": " +
             one.message + "\n";
    return out;
  }
  test::Issued issue(long from_s, long to_s) {
    return ca_.issue({.common_name = "a.test", .valid_from_s = from_s, .valid_to_s = to_s});
  }
  const test::Authority ca_ = test::Authority::root("Root", {.valid_to_s = 400 * test::day_s});
  const test::Issued good_ = issue(-test::hour_s, 300 * test::day_s);
  std::string secrets_;
};

TEST_F(GatewaySecrets, OfThePodsNamespaceAreNothingToSay) {
  add({good_.chain_pem, good_.key_pem, ca_.pem()});
  EXPECT_EQ(told("mode: SIMPLE, credentialName: web"), "");
  EXPECT_EQ(told("mode: MUTUAL, credentialName: web"), "");
}

TEST_F(GatewaySecrets, ThatAreNowhereAreNamed) {
  add({good_.chain_pem, good_.key_pem, "", "other"});
  EXPECT_EQ(told("mode: SIMPLE, credentialName: web"),
            "IST0101 Gateway gw.default spec.servers[0].tls.credentialName: Referenced "
            "credentialName not found: \"web\"\n");
  EXPECT_TRUE(has(told("mode: SIMPLE, credentialNames: [other, second]"),
                  "IST0101 Gateway gw.default spec.servers[0].tls.credentialNames[1]: Referenced "
                  "credentialName not found: \"second\"\n"));
}

TEST_F(GatewaySecrets, OfTheGatewaysNamespaceAreNotThePods) {
  add({good_.chain_pem, good_.key_pem, "", "web", "default"});
  EXPECT_TRUE(has(told("mode: SIMPLE, credentialName: web"),
                  "SLP0302 Gateway gw.default spec.servers[0].tls.credentialName: credentialName "
                  "web: Secret default/web (secrets.yaml:2) is in namespace default, and a "
                  "gateway's proxy reads Secrets of its own namespace only (istio-system)"));
}

TEST_F(GatewaySecrets, ThatNoServerCanUseAreIstiosInvalidCredential) {
  const auto other = issue(-test::hour_s, 300 * test::day_s);
  const auto old = issue(-3 * test::day_s, -test::day_s);
  add({good_.chain_pem, other.key_pem, "", "mismatch"});
  add({old.chain_pem, old.key_pem, "", "old"});
  add({"", "", ca_.pem(), "empty"});
  const auto begins = [&](const std::string& name, const std::string& why) {
    const auto all = told("mode: SIMPLE, credentialName: " + name);
    EXPECT_TRUE(all.starts_with(
        "IST0161 Gateway gw.default spec.servers[0].tls.credentialName: The credential referenced "
        "by the Gateway gw in namespace istio-system is invalid, which can cause the traffic not "
        "to work as expected. Secret istio-system/" +
        name))
        << all;
    EXPECT_TRUE(has(all, why)) << all;
    EXPECT_FALSE(has(all, "SLP03")) << all;
  };
  begins("mismatch", "does not match the certificate");
  begins("old", "the server's certificate CN=a.test expired on 20");
  begins("empty", "needs a certificate with its key");
}

TEST_F(GatewaySecrets, ThatEndSoonAreAWarningOfTheSecret) {
  const auto brief = issue(-test::hour_s, 10 * test::day_s + test::hour_s);
  add({brief.chain_pem, brief.key_pem, ""});
  EXPECT_TRUE(
      told("mode: SIMPLE, credentialName: web").starts_with("SLP0309 Secret web.istio-system"));
}

TEST_F(GatewaySecrets, OfMutualNeedACa) {
  add({good_.chain_pem, good_.key_pem, ""});
  EXPECT_TRUE(has(told("mode: MUTUAL, credentialName: web"),
                  "SLP0304 Secret web.istio-system data: Gateway default/gw (gateway.yaml:6) "
                  "verifies clients with its CA (ca.crt or cacert), and there is note, tls.crt, "
                  "tls.key: every client is refused"));
  EXPECT_EQ(told("mode: SIMPLE, credentialName: web"), "");
  EXPECT_TRUE(has(told("mode: MUTUAL, credentialName: web, caCertCredentialName: ca"),
                  "IST0101 Gateway gw.default spec.servers[0].tls.caCertCredentialName: Referenced "
                  "credentialName not found: \"ca\""));
  add({"", "", ca_.pem(), "web-cacert"});
  EXPECT_EQ(told("mode: MUTUAL, credentialName: web"), "");
}

TEST_F(GatewaySecrets, OfServersThatPassTlsOnAreNotLookedFor) {
  add({good_.chain_pem, good_.key_pem, "", "other"});
  EXPECT_EQ(told("mode: ISTIO_MUTUAL"), "");
}

// The egress gateway's pattern: what the rule of the outside host names is the gateway's to read.
TEST_F(GatewaySecrets, OfRulesThatAGatewayUsesAreLookedForWhereItsPodsAre) {
  constexpr const char* outside = R"(apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec: {hosts: [api.test], ports: [{number: 443, name: tls, protocol: HTTPS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api}
spec:
  hosts: [a.test]
  gateways: [gw]
  http: [{route: [{destination: {host: api.test}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api.test
  trafficPolicy:
    tls: {mode: MUTUAL, credentialName: client, sni: api.test, subjectAltNames: [api.test]}
)";
  add({good_.chain_pem, good_.key_pem, ca_.pem()});
  add({good_.chain_pem, good_.key_pem, ca_.pem(), "client"});
  secrets_ += std::string("---\n") + outside;
  const auto all = told("mode: SIMPLE, credentialName: web");
  EXPECT_FALSE(has(all, "SLP0301")) << "gateways need no workloadSelector\n" << all;
  EXPECT_FALSE(has(all, "SLP0302")) << all;
  EXPECT_FALSE(has(all, "SLP0201")) << "the client's TLS has ended\n" << all;
}

}  // namespace
}  // namespace sallyport::analyze
