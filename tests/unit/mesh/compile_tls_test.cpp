// Where a connection's TLS mode is decided: what a DestinationRule's tls block means for a port
// (istio-api.md 1.3, 2.8, 2.9, 7).
#include "agent/mesh/compile_tls.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

using Names = std::vector<std::string>;
constexpr auto none = Originate::none, simple = Originate::simple, mutual = Originate::mutual,
               istio_mutual = Originate::istio_mutual;

// The parts of TlsOrigination that a rule decides; `reason` instead of all where the cluster is
// closed.
struct Expect {
  Originate mode = Originate::none;
  std::string sni;
  bool auto_sni = false;
  Names names;
  bool auto_san = false;
  std::string certificate, roots;
  const char* reason = nullptr;
};
struct Case {
  const char* rule;
  std::string tls;  // flow content of tls; "" for no rule
  Expect expect;
  std::string port = "80 HTTP";
  std::string more_of_entry, more_of_rule;
  std::string host = "api.example.com";
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }

const std::string selector = "  workloadSelector: {matchLabels: {app: sleep}}\n";
const std::string files = "clientCertificate: /c.pem, privateKey: /k.pem";

const Case http_cases[] = {
    {"no rule: bytes as they are", "", {}},
    {"tls: {} is DISABLE (the enum's zero)", " ", {}},
    {"DISABLE", "mode: DISABLE", {}},
    {"SIMPLE: SNI and name from Host, the system's CAs",
     "mode: SIMPLE",
     {simple, "", true, {}, true, "", "system"}},
    {"own CA file",
     "mode: SIMPLE, caCertificates: /ca.pem",
     {simple, "", true, {}, true, "", "file-root:/ca.pem"}},
    {"CA named system",
     "mode: SIMPLE, caCertificates: system",
     {simple, "", true, {}, true, "", "system"}},
    {"sni given, no names: the chain alone is checked",
     "mode: SIMPLE, sni: s.example",
     {simple, "s.example", false, {}, false, "", "system"}},
    {"names given: they count, the SNI is still the Host",
     "mode: SIMPLE, subjectAltNames: [a, b]",
     {simple, "", true, {"a", "b"}, false, "", "system"}},
    {"names of the ServiceEntry count where the rule has none",
     "mode: SIMPLE",
     {simple, "", true, {"of-entry"}, false, "", "system"},
     "80 HTTP",
     "  subjectAltNames: [of-entry]\n"},
    {"the rule's names replace the entry's",
     "mode: SIMPLE, subjectAltNames: [of-rule]",
     {simple, "", true, {"of-rule"}, false, "", "system"},
     "80 HTTP",
     "  subjectAltNames: [of-entry]\n"},
    {"entry's names with sni given",
     "mode: SIMPLE, sni: s.example",
     {simple, "s.example", false, {"of-entry"}, false, "", "system"},
     "80 HTTP",
     "  subjectAltNames: [of-entry]\n"},
    {"insecureSkipVerify: nothing is checked, the SNI is still sent",
     "mode: SIMPLE, insecureSkipVerify: true",
     {simple, "", true, {}, false, "", ""}},
    {"insecureSkipVerify: false is as absent",
     "mode: SIMPLE, insecureSkipVerify: false",
     {simple, "", true, {}, true, "", "system"}},
    {"SIMPLE ignores a client certificate",
     "mode: SIMPLE, " + files,
     {simple, "", true, {}, true, "", "system"}},
    {"MUTUAL from files",
     "mode: MUTUAL, " + files,
     {mutual, "", true, {}, true, "file-cert:/c.pem~/k.pem", "system"}},
    {"MUTUAL from files with its CA",
     "mode: MUTUAL, caCertificates: /ca.pem, " + files,
     {mutual, "", true, {}, true, "file-cert:/c.pem~/k.pem", "file-root:/ca.pem"}},
    {"MUTUAL without verification keeps its certificate",
     "mode: MUTUAL, insecureSkipVerify: true, " + files,
     {mutual, "", true, {}, false, "file-cert:/c.pem~/k.pem", ""}},
    {"a CRL goes with its CA file",
     "mode: SIMPLE, caCertificates: /ca.pem, caCrl: /crl.pem",
     {simple, "", true, {}, true, "", "file-root:/ca.pem~/crl.pem"}},
    {"a CRL without a CA file: closed",
     "mode: SIMPLE, caCrl: /crl.pem",
     {.reason = "tls.caCrl needs caCertificates"}},
    {"a CRL has no say where nothing is checked",
     "mode: SIMPLE, caCrl: /crl.pem, insecureSkipVerify: true",
     {simple, "", true, {}, false, "", ""}},
    {"ISTIO_MUTUAL: the workload's own certificate, the mesh's roots, the SNI of 2.12",
     "mode: ISTIO_MUTUAL",
     {istio_mutual, "outbound_.80_._.api.example.com", false, {}, false, "default", "ROOTCA"}},
    {"ISTIO_MUTUAL: sni and names of the rule count",
     "mode: ISTIO_MUTUAL, sni: s.example, subjectAltNames: [a]",
     {istio_mutual, "s.example", false, {"a"}, false, "default", "ROOTCA"}},
    {"ISTIO_MUTUAL: names of the ServiceEntry count where the rule has none",
     "mode: ISTIO_MUTUAL",
     {istio_mutual,
      "outbound_.80_._.api.example.com",
      false,
      {"of-entry"},
      false,
      "default",
      "ROOTCA"},
     "80 HTTP",
     "  subjectAltNames: [of-entry]\n"},
    {"GRPC ports are HTTP", "mode: SIMPLE", {simple, "", true, {}, true, "", "system"}, "80 GRPC"},
};

// 2.9: credentialName.
const Case secret_cases[] = {
    {"MUTUAL: certificate and CA of the Secret",
     "mode: MUTUAL, credentialName: cred",
     {mutual, "", true, {}, true, "kubernetes://cred", "kubernetes://cred-cacert"},
     "80 HTTP",
     "",
     selector},
    {"SIMPLE: only its CA",
     "mode: SIMPLE, credentialName: cred",
     {simple, "", true, {}, true, "", "kubernetes://cred-cacert"},
     "80 HTTP",
     "",
     selector},
    {"a name that ends in -cacert already",
     "mode: SIMPLE, credentialName: cred-cacert",
     {simple, "", true, {}, true, "", "kubernetes://cred-cacert"},
     "80 HTTP",
     "",
     selector},
    {"with its scheme",
     "mode: MUTUAL, credentialName: 'kubernetes://cred'",
     {mutual, "", true, {}, true, "kubernetes://cred", "kubernetes://cred-cacert"},
     "80 HTTP",
     "",
     selector},
    {"with the proxy's own namespace",
     "mode: MUTUAL, credentialName: 'kubernetes://default/cred'",
     {mutual, "", true, {}, true, "kubernetes://cred", "kubernetes://cred-cacert"},
     "80 HTTP",
     "",
     selector},
    {"of another namespace: closed",
     "mode: MUTUAL, credentialName: 'kubernetes://other/cred'",
     {.reason = "another namespace"},
     "80 HTTP",
     "",
     selector},
    {"a ConfigMap with a CA needs no selector",
     "mode: SIMPLE, credentialName: 'configmap://default/ca'",
     {simple, "", true, {}, true, "", "configmap://default/ca"}},
    {"a ConfigMap has no key for MUTUAL",
     "mode: MUTUAL, credentialName: 'configmap://default/ca'",
     {.reason = "gives CA certificates only"}},
    {"MUTUAL with the name of a CA",
     "mode: MUTUAL, credentialName: cred-cacert",
     {.reason = "names CA certificates"},
     "80 HTTP",
     "",
     selector},
    {"MUTUAL without verification: the Secret's certificate, and no CA",
     "mode: MUTUAL, credentialName: cred, insecureSkipVerify: true",
     {mutual, "", true, {}, false, "kubernetes://cred", ""},
     "80 HTTP",
     "",
     selector},
    {"invalid:// never is",
     "mode: MUTUAL, credentialName: 'invalid://x'",
     {.reason = "never leads to anything"},
     "80 HTTP",
     "",
     selector},
    {"builtin:// is the workload's own certificate",
     "mode: MUTUAL, credentialName: 'builtin://'",
     {mutual, "", true, {}, true, "default", "ROOTCA"},
     "80 HTTP",
     "",
     selector},
    {"builtin:// of SIMPLE: the mesh's roots",
     "mode: SIMPLE, credentialName: 'builtin://'",
     {simple, "", true, {}, true, "", "ROOTCA"},
     "80 HTTP",
     "",
     selector},
    {"builtin:// on a rule without a workloadSelector",
     "mode: SIMPLE, credentialName: 'builtin://'",
     {.reason = "needs a workloadSelector"}},
    {"builtin:// with a name after it",
     "mode: MUTUAL, credentialName: 'builtin://x'",
     {.reason = "the workload's own certificate has no name"},
     "80 HTTP",
     "",
     selector},
    {"sds:// is another server's",
     "mode: SIMPLE, credentialName: 'sds://x'",
     {.reason = "external SDS servers are not supported"},
     "80 HTTP",
     "",
     selector},
    {"kubernetes-gateway:// is no sidecar's",
     "mode: SIMPLE, credentialName: 'kubernetes-gateway://default/x'",
     {.reason = "for gateways only"},
     "80 HTTP",
     "",
     selector},
    {"a scheme that nobody knows",
     "mode: SIMPLE, credentialName: 'vault://x'",
     {.reason = "only NAME, kubernetes://"},
     "80 HTTP",
     "",
     selector},
    {"without workloadSelector Istio sends plaintext; ours is closed (7)",
     "mode: MUTUAL, credentialName: cred",
     {.reason = "workloadSelector"}},
    {"SIMPLE without workloadSelector too",
     "mode: SIMPLE, credentialName: cred",
     {.reason = "workloadSelector"}},
};

// 7 "TCP origination": the ServiceEntry's only host is used for both names.
const Case tcp_cases[] = {
    {"TCP: the only host is SNI and name",
     "mode: SIMPLE",
     {simple, "api.example.com", false, {"api.example.com"}, false, "", "system"},
     "9000 TCP"},
    {"TCP with names: they are checked",
     "mode: SIMPLE, subjectAltNames: [a]",
     {simple, "api.example.com", false, {"a"}, false, "", "system"},
     "9000 TCP"},
    {"TCP with sni: the chain alone, as for HTTP",
     "mode: SIMPLE, sni: s.example",
     {simple, "s.example", false, {}, false, "", "system"},
     "9000 TCP"},
    {"TCP with a wildcard host: no name is known",
     "mode: SIMPLE",
     {simple, "", false, {}, false, "", "system"},
     "9000 TCP",
     "",
     "",
     "*.example.com"},
    {"TLS port: wrapped again, under the only host's name",
     "mode: SIMPLE",
     {simple, "api.example.com", false, {"api.example.com"}, false, "", "system"},
     "443 TLS"},
    {"detected port: HTTP and bytes both come here, so the service's own name",
     "mode: SIMPLE",
     {simple, "api.example.com", false, {"api.example.com"}, false, "", "system"},
     "9000 -"},
    {"detected port of a wildcard: from Host",
     "mode: SIMPLE",
     {simple, "", true, {}, true, "", "system"},
     "9000 -",
     "",
     "",
     "*.example.com"},
};

class TlsMode : public testing::TestWithParam<Case> {};
TEST_P(TlsMode, IsDecided) {
  const auto& c = GetParam();
  World world;
  world.add(entry(
      {c.host, "default", c.host.starts_with("*") ? "NONE" : "DNS", {c.port}, c.more_of_entry}));
  const std::string tls = c.tls == " " ? "" : c.tls;
  if (!c.tls.empty())
    world.add(rule({c.host, "r", "default", "tls: {" + tls + "}", c.more_of_rule}));
  ASSERT_TRUE(world.input.refused.empty())
      << c.rule << ": " << world.input.refused[0].finding.text();
  world.compile();
  const auto* cluster =
      world.cluster("outbound|" + c.port.substr(0, c.port.find(' ')) + "||" + c.host);
  ASSERT_TRUE(cluster) << c.rule;
  ASSERT_EQ(cluster->refused.has_value(), c.expect.reason != nullptr) << c.rule;
  if (c.expect.reason) {
    EXPECT_NE(cluster->refused->context.find(c.expect.reason), std::string::npos)
        << cluster->refused->context;
    EXPECT_NE(cluster->refused->resource.find("DestinationRule default/r (rules.yaml:"),
              std::string::npos);
    return;
  }
  EXPECT_EQ(cluster->tls.mode, c.expect.mode) << c.rule;
  EXPECT_EQ(cluster->tls.sni, c.expect.sni) << c.rule;
  EXPECT_EQ(cluster->tls.auto_sni, c.expect.auto_sni) << c.rule;
  EXPECT_EQ(cluster->tls.names, c.expect.names) << c.rule;
  EXPECT_EQ(cluster->tls.auto_san, c.expect.auto_san) << c.rule;
  EXPECT_EQ(cluster->tls.certificate, c.expect.certificate) << c.rule;
  EXPECT_EQ(cluster->tls.roots, c.expect.roots) << c.rule;
  // Only a rule that asks for it leaves a connection unverified.
  const bool unverified = cluster->tls.mode != none && cluster->tls.roots.empty();
  EXPECT_EQ(unverified, cluster->tls.skip_verify) << c.rule;
}
INSTANTIATE_TEST_SUITE_P(Http, TlsMode, testing::ValuesIn(http_cases));
INSTANTIATE_TEST_SUITE_P(Secrets, TlsMode, testing::ValuesIn(secret_cases));
INSTANTIATE_TEST_SUITE_P(Tcp, TlsMode, testing::ValuesIn(tcp_cases));

TEST(TlsNames, OfAnEntryWithSeveralHostsAreNotGuessedForTcp) {
  World world;
  world.add(
      "kind: ServiceEntry\napiVersion: networking.istio.io/v1\nmetadata: {name: two}\nspec:\n"
      "  hosts: [a.example.com, b.example.com]\n  resolution: NONE\n"
      "  ports: [{number: 9000, name: t, protocol: TCP}]\n");
  world.add(rule({"a.example.com"})).compile();
  const auto* cluster = world.cluster("outbound|9000||a.example.com");
  ASSERT_TRUE(cluster);
  EXPECT_EQ(cluster->tls.sni, "");
  EXPECT_TRUE(cluster->tls.names.empty());
}

TEST(TlsRule, IsRememberedWithItsLine) {
  World world;
  world.add(entry({"api.example.com"})).add(rule({"api.example.com"})).compile();
  const auto* cluster = world.cluster("outbound|80||api.example.com");
  ASSERT_TRUE(cluster && cluster->tls.rule);
  EXPECT_EQ(cluster->tls.rule->text(), "DestinationRule default/rule (rules.yaml:1)");
  EXPECT_EQ(cluster->tls.line, 8);
  EXPECT_EQ(cluster->service->kind, "ServiceEntry");
}

TEST(Secrets, ThatClustersReferToAreListedOnce) {
  World world;
  world.add(entry({"a.example.com"})).add(entry({"b.example.com"})).add(entry({"c.example.com"}));
  world
      .add(rule(
          {"a.example.com", "a", "default", "tls: {mode: MUTUAL, credentialName: cred}", selector}))
      .add(rule(
          {"b.example.com", "b", "default", "tls: {mode: MUTUAL, credentialName: cred}", selector}))
      .add(rule({"c.example.com", "c", "default", "tls: {mode: MUTUAL, " + files + "}"}))
      .compile();
  EXPECT_EQ(world.compiled.secret_names,
            (Names{"file-cert:/c.pem~/k.pem", "kubernetes://cred", "kubernetes://cred-cacert"}));
}

// E9: the classic mistake, named with the rule's line.
TEST(TlsInsideTls, IsWarnedOf) {
  World world;
  world.add(entry({"api.example.com", "default", "DNS", {"80 HTTP", "443 HTTPS"}}))
      .add(rule({"api.example.com"}));
  EXPECT_NE(world.compile().findings().find("rules.yaml:8: warning: DestinationRule default/rule: "
                                            "spec.trafficPolicy.tls: TLS inside TLS: port 443"),
            std::string::npos)
      << world.findings();
}

}  // namespace
}  // namespace sallyport::mesh
