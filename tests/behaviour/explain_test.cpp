// Answers that explain themselves: scenario E9 (the client's TLS wrapped in TLS), and `explain` and
// `analyze` where the sidecar runs.
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

using Explain = Scenario;

// The sample, with a rule that reaches its HTTPS port too.
constexpr const char* double_tls = R"(apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: edition-cnn-com
spec:
  hosts:
  - edition.cnn.com
  ports:
  - number: 80
    name: http-port
    protocol: HTTP
    targetPort: 443
  - number: 443
    name: https-port
    protocol: HTTPS
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: edition-cnn-com
spec:
  host: edition.cnn.com
  trafficPolicy:
    portLevelSettings:
    - port:
        number: 80
      tls:
        mode: SIMPLE
    - port:
        number: 443
      tls:
        mode: SIMPLE
)";
// The sandbox puts a line in front of a document.
constexpr int first_line_of_tls = 31, last_line_of_tls = 33;

bool names_the_rule(const std::string& text) {
  for (int line = first_line_of_tls; line <= last_line_of_tls; line++) {
    if (has(text, "originate-tls.yaml:" + std::to_string(line) + ")")) return true;
  }
  return false;
}

TEST_F(Explain, E9_TlsInsideTlsIsNamedInTheLogAndByAnalyze) {
  up("egress-simple", {{"originate-tls.yaml", double_tls}});
  const auto result = curl("sleep", {"-o", "/dev/null", "https://edition.cnn.com/politics"});
  EXPECT_NE(result.code, 0) << "a server does not understand TLS inside TLS";
  // Operators write blanks as underscores, as Envoy does.
  ASSERT_TRUE(logged("sleep", "istio-proxy",
                     "\"TLS_inside_TLS:_the_client_speaks_TLS_itself_and_DestinationRule_default/"
                     "edition-cnn-com_(/etc/istio/config/originate-tls.yaml:"));
  EXPECT_TRUE(names_the_rule(logs("sleep", "istio-proxy"))) << logs("sleep", "istio-proxy");

  const auto found = in_sidecar("sleep", "exec /proc/$proxy/exe analyze /etc/istio/config");
  EXPECT_EQ(found.code, 79) << found.out << found.err;
  EXPECT_TRUE(has(found.out, "Error [SLP0201] (DestinationRule edition-cnn-com.default "))
      << found.out;
  EXPECT_TRUE(names_the_rule(found.out)) << found.out;

  const auto told =
      in_sidecar("sleep", "exec /proc/$proxy/exe explain --to https://edition.cnn.com/politics");
  EXPECT_EQ(told.code, 1) << told.out << told.err;
  EXPECT_TRUE(has(told.out, "WOULD FAIL: TLS inside TLS")) << told.out;
  EXPECT_TRUE(names_the_rule(told.out)) << told.out;
}

TEST_F(Explain, LiveShowsWhatTheServerPresents) {
  up("egress-simple");
  const auto told = in_sidecar(
      "sleep", "exec /proc/$proxy/exe explain --live --to http://edition.cnn.com/politics");
  EXPECT_EQ(told.code, 0) << told.out << told.err;
  for (const char* part : {"SIMPLE; SNI edition.cnn.com", "connect", "handshake     TLSv1.3, TLS_",
                           "names edition.cnn.com", "chain and name are good", "It goes through."})
    EXPECT_TRUE(has(told.out, part)) << part << "\n" << told.out;
}

TEST_F(Explain, LiveSaysWhyTheServerIsNotBelieved) {
  std::string other(double_tls);
  other.replace(other.rfind("    - port:"), std::string::npos, "");
  other += "        subjectAltNames: [other.example.org]\n";
  up("egress-simple", {{"originate-tls.yaml", other}});
  const auto told = in_sidecar(
      "sleep", "exec /proc/$proxy/exe explain --live --to http://edition.cnn.com/politics");
  EXPECT_EQ(told.code, 1) << told.out << told.err;
  EXPECT_TRUE(has(told.out, "the certificate must name other.example.org")) << told.out;
  EXPECT_TRUE(has(told.out, "FAILED: TLS error: CERTIFICATE_VERIFY_FAILED")) << told.out;
  EXPECT_TRUE(has(told.out, "names edition.cnn.com")) << "what it showed instead\n" << told.out;
}

// The proxy goes by its last good version, the files say something else.
TEST_F(Explain, InThePodItSaysThatTheRunningProxyRefusedSomething) {
  up("egress-simple");
  const auto ask = [this] {
    return in_sidecar("sleep", "exec /proc/$proxy/exe explain --to http://edition.cnn.com/").out;
  };
  EXPECT_FALSE(has(ask(), "the running one refuses")) << ask();
  std::string mistyped(double_tls);
  mistyped.replace(mistyped.find("mode: SIMPLE"), 12, "mode: SIMPEL");
  apply("originate-tls.yaml", mistyped);
  EXPECT_TRUE(logged("sleep", "istio-proxy", "SIMPEL"));
  const auto told = ask();
  EXPECT_TRUE(has(told, "the running one refuses what the notes name, and may hold a last good"))
      << told;
  EXPECT_TRUE(has(told, "SIMPEL")) << told;
}

// The same words wherever one looks: log, 503 body, explain.
TEST_F(Explain, AMissingSecretHasOneReasonEverywhere) {
  std::string mutual(double_tls);
  mutual.replace(mutual.rfind("    - port:"), std::string::npos, "");
  mutual.replace(mutual.find("mode: SIMPLE"), 12, "mode: MUTUAL\n        credentialName: absent");
  mutual.replace(mutual.rfind("  host:"), 0, "  workloadSelector: {matchLabels: {app: sleep}}\n");
  up("egress-simple", {{"originate-tls.yaml", mutual}});
  const auto answer = curl("sleep", {"-D", "-", "http://edition.cnn.com/"});
  EXPECT_TRUE(has(answer.out, "HTTP/1.1 503 ")) << answer.out;
  const std::string reason = "DestinationRule default/edition-cnn-com (";
  EXPECT_TRUE(has(answer.out, reason) && has(answer.out, "originate-tls.yaml:")) << answer.out;
  EXPECT_TRUE(has(answer.out, "kubernetes://absent: Secret default/absent: missing")) << answer.out;
  EXPECT_TRUE(
      logged("sleep", "istio-proxy",
             "needs_the_client_certificate_kubernetes://absent:_Secret_default/absent:_missing"));
  const auto told =
      in_sidecar("sleep", "exec /proc/$proxy/exe explain --to http://edition.cnn.com/");
  EXPECT_EQ(told.code, 1);
  EXPECT_TRUE(has(told.out, "REFUSED: " + reason)) << told.out;
  EXPECT_TRUE(has(told.out, "kubernetes://absent: Secret default/absent: missing")) << told.out;
}

}  // namespace
}  // namespace sallyport::behaviour
