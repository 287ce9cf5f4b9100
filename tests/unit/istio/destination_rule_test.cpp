// DestinationRule: what is read, and what Istio's validation refuses. Inside `tls` nothing unknown
// is let through.
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

using std::chrono::milliseconds;

TEST(DestinationRuleDecoding, ReadsEveryField) {
  const auto rule = only<DestinationRule>(
      document("DestinationRule",
               "host: My-Nginx.mesh-external.svc.cluster.local\n"
               "workloadSelector: {matchLabels: {app: sleep}}\n"
               "exportTo: ['.']\n"
               "trafficPolicy:\n"
               "  loadBalancer: {simple: LEAST_CONN}\n"
               "  connectionPool:\n"
               "    tcp: {maxConnections: 7, connectTimeout: 1.5s, idleTimeout: 1h}\n"
               "    http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 2, maxRetries: 3, "
               "idleTimeout: 2s}\n"
               "  portLevelSettings:\n"
               "  - port: {number: 80}\n"
               "    loadBalancer: {simple: RANDOM}\n"
               "    tls:\n"
               "      mode: MUTUAL\n"
               "      clientCertificate: /c\n      privateKey: /k\n      caCertificates: /ca\n     "
               " caCrl: /crl\n"
               "      sni: a.b\n      subjectAltNames: [a.b, 'spiffe://x']\n"
               "  tls: {mode: SIMPLE, credentialName: cred, insecureSkipVerify: no}\n"));
  EXPECT_EQ(rule.host, "my-nginx.mesh-external.svc.cluster.local");
  ASSERT_TRUE(rule.workload_selector);
  EXPECT_EQ(rule.workload_selector->at("app"), "sleep");
  ASSERT_TRUE(rule.traffic_policy);
  const TrafficPolicy& policy = *rule.traffic_policy;
  EXPECT_EQ(policy.load_balancer->simple, SimpleLb::least_request);
  EXPECT_EQ(policy.connection_pool->max_connections, 7u);
  EXPECT_EQ(policy.connection_pool->connect_timeout, milliseconds(1500));
  EXPECT_EQ(policy.connection_pool->tcp_idle_timeout, milliseconds(3'600'000));
  EXPECT_EQ(policy.connection_pool->http_idle_timeout, milliseconds(2000));
  EXPECT_EQ(policy.connection_pool->max_requests_per_connection, 2u);
  EXPECT_EQ(policy.tls->mode, TlsMode::simple);
  EXPECT_EQ(policy.tls->credential_name, "cred");
  EXPECT_EQ(policy.tls->insecure_skip_verify, false);
  ASSERT_EQ(policy.port_level_settings.size(), 1u);
  const PortPolicy& port = policy.port_level_settings[0];
  EXPECT_EQ(port.port, 80);
  EXPECT_EQ(port.load_balancer->simple, SimpleLb::random);
  EXPECT_FALSE(port.connection_pool);
  EXPECT_EQ(port.tls->mode, TlsMode::mutual);
  EXPECT_EQ(port.tls->client_certificate, "/c");
  EXPECT_EQ(port.tls->private_key, "/k");
  EXPECT_EQ(port.tls->ca_certificates, "/ca");
  EXPECT_EQ(port.tls->ca_crl, "/crl");
  EXPECT_EQ(port.tls->sni, "a.b");
  EXPECT_EQ(port.tls->subject_alt_names, (std::vector<std::string>{"a.b", "spiffe://x"}));
  EXPECT_EQ(port.tls->line, 18);
}

TEST(DestinationRuleDecoding, AbsentDiffersFromEmpty) {
  const auto absent = only<DestinationRule>(document("DestinationRule", "host: a.b"));
  EXPECT_FALSE(absent.traffic_policy);
  const auto empty =
      only<DestinationRule>(document("DestinationRule", "host: a.b\ntrafficPolicy: {tls: {}}"));
  ASSERT_TRUE(empty.traffic_policy && empty.traffic_policy->tls);
  EXPECT_EQ(empty.traffic_policy->tls->mode, TlsMode::disable);
  EXPECT_FALSE(empty.traffic_policy->tls->insecure_skip_verify);
}

struct Case {
  const char* name;
  std::string tls;  // inside `tls: {}` of line 8
  std::vector<std::string> complaints;
};
const Case tls_cases[] = {
    {"a misspelt field",
     "mode: SIMPLE, subjectAltName: [a]",
     {"8: spec.trafficPolicy.tls.subjectAltName: unknown field; did you mean "
      "\"subjectAltNames\"?"}},
    {"a misspelt mode",
     "mode: Simple",
     {"8: spec.trafficPolicy.tls.mode: unsupported value \"Simple\", supported: DISABLE, SIMPLE, "
      "MUTUAL, ISTIO_MUTUAL"}},
    {"a mode that is a boolean in YAML",
     "mode: off",
     {"8: spec.trafficPolicy.tls.mode: expected one of Istio's names, found a boolean"}},
    {"MUTUAL alone",
     "mode: MUTUAL",
     {"8: spec.trafficPolicy.tls.clientCertificate: client certificate required for mutual tls",
      "8: spec.trafficPolicy.tls.privateKey: private key required for mutual tls"}},
    {"MUTUAL without a key",
     "mode: MUTUAL, clientCertificate: /c",
     {"8: spec.trafficPolicy.tls.privateKey: private key required for mutual tls"}},
    {"MUTUAL with a Secret", "mode: MUTUAL, credentialName: x", {}},
    {"a Secret and files",
     "mode: SIMPLE, credentialName: x, caCertificates: /ca",
     {"8: spec.trafficPolicy.tls.credentialName: cannot specify client certificates or CA "
      "certificate or CA CRL If credentialName is set"}},
    {"ISTIO_MUTUAL with files is let through", "mode: ISTIO_MUTUAL, caCertificates: /ca", {}},
    {"SIMPLE, unverified, with a CA",
     "mode: SIMPLE, insecureSkipVerify: true, caCertificates: /ca",
     {"8: spec.trafficPolicy.tls.insecureSkipVerify: cannot specify CaCertificates or "
      "CredentialName or SubjectAltNames when InsecureSkipVerify is set true"}},
    {"MUTUAL, unverified, with names",
     "mode: MUTUAL, credentialName: x, insecureSkipVerify: true, subjectAltNames: [a]",
     {"8: spec.trafficPolicy.tls.insecureSkipVerify: cannot specify CaCertificates or "
      "SubjectAltNames when InsecureSkipVerify is set true"}},
    {"a number for SNI",
     "mode: SIMPLE, sni: 12",
     {"8: spec.trafficPolicy.tls.sni: expected a string, found a number (put it in quotes)"}},
    {"a boolean for SNI",
     "mode: SIMPLE, sni: no",
     {"8: spec.trafficPolicy.tls.sni: expected a string, found a boolean (YAML reads a bare yes, "
      "no, on, off, y, n as one: put it in quotes)"}},
    {"a string for a boolean",
     "mode: SIMPLE, insecureSkipVerify: 'true'",
     {"8: spec.trafficPolicy.tls.insecureSkipVerify: expected a boolean, found a string"}},
    {"one name instead of a list",
     "mode: SIMPLE, subjectAltNames: a",
     {"8: spec.trafficPolicy.tls.subjectAltNames: expected a list of strings, found a string"}},
    {"a ConfigMap of another namespace",
     "mode: SIMPLE, credentialName: 'configmap://other/x'",
     {"8: spec.trafficPolicy: invalid configmap:// credentialName: namespace must match the "
      "configuration namespace \"default\""}},
    {"a ConfigMap without a namespace",
     "mode: SIMPLE, credentialName: 'configmap://x'",
     {"8: spec.trafficPolicy: invalid configmap:// credentialName: the form is "
      "configmap://NAMESPACE/NAME; namespace must match the configuration namespace "
      "\"default\""}},
};
class ClientTlsValidation : public testing::TestWithParam<Case> {};
TEST_P(ClientTlsValidation, SaysWhatIsWrongAndWhere) {
  const std::string text =
      document("DestinationRule", "host: a.b\ntrafficPolicy:\n  tls: {" + GetParam().tls + "}");
  EXPECT_EQ(complaints(text), GetParam().complaints) << GetParam().name;
  EXPECT_EQ(decode(text, "f").resources.size(), GetParam().complaints.empty() ? 1u : 0u);
}
INSTANTIATE_TEST_SUITE_P(Spec, ClientTlsValidation, testing::ValuesIn(tls_cases));

const Case rule_cases[] = {
    {"no host", "exportTo: ['.']", {"6: spec.host: empty domain name not allowed"}},
    {"a short host", "host: reviews", {}},
    {"a wildcard host", "host: '*.a.b'", {}},
    {"an empty policy",
     "host: a.b\ntrafficPolicy: {}",
     {"7: spec.trafficPolicy: traffic policy must have at least one field"}},
    {"a policy that is a list",
     "host: a.b\ntrafficPolicy: [tls]",
     {"7: spec.trafficPolicy: expected an object, found a list"}},
    {"an empty pool",
     "host: a.b\ntrafficPolicy: {connectionPool: {}}",
     {"7: spec.trafficPolicy.connectionPool: connection pool must have at least one field"}},
    {"a port policy without its port",
     "host: a.b\ntrafficPolicy:\n  portLevelSettings:\n  - tls: {mode: SIMPLE}",
     {"9: spec.trafficPolicy.portLevelSettings[0].port: portTrafficPolicy must have valid port"}},
    {"a port policy with nothing in it",
     "host: a.b\ntrafficPolicy:\n  portLevelSettings:\n  - port: {number: 80}",
     {"9: spec.trafficPolicy.portLevelSettings[0]: port traffic policy must have at least one "
      "field"}},
    {"a duration without a unit",
     "host: a.b\ntrafficPolicy: {connectionPool: {tcp: {connectTimeout: '5'}}}",
     {"7: spec.trafficPolicy.connectionPool.tcp.connectTimeout: \"5\" is no duration (5s, 500ms, "
      "1h10m; at most 100 years)"}},
    {"a duration that is a number",
     "host: a.b\ntrafficPolicy: {connectionPool: {tcp: {connectTimeout: 5}}}",
     {"7: spec.trafficPolicy.connectionPool.tcp.connectTimeout: expected a duration such as 5s, "
      "500ms or 1h10m, found a number"}},
    {"no time to connect",
     "host: a.b\ntrafficPolicy: {connectionPool: {tcp: {connectTimeout: 0s}}}",
     {"7: spec.trafficPolicy.connectionPool.tcp.connectTimeout: duration must be greater than "
      "1ms"}},
    {"finer than milliseconds",
     "host: a.b\ntrafficPolicy: {connectionPool: {tcp: {connectTimeout: 1500us}}}",
     {"7: spec.trafficPolicy.connectionPool.tcp.connectTimeout: only durations to ms precision are "
      "supported"}},
    {"a negative count",
     "host: a.b\ntrafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}",
     {"7: spec.trafficPolicy.connectionPool.tcp.maxConnections: -1 is not a whole number from 0 to "
      "2147483647"}},
    {"tls with nothing after it",
     "host: a.b\ntrafficPolicy:\n  tls:\n  loadBalancer: {simple: RANDOM}",
     {"8: spec.trafficPolicy.tls: empty, counts as absent (is what follows indented?)"}},
    {"what is not supported yet says so",
     "host: a.b\ntrafficPolicy: {outlierDetection: {}, tunnel: {targetHost: c.d, targetPort: 1}}",
     {"7: spec.trafficPolicy.tunnel: not supported yet, has no effect"}},
    {"a subset's mistake refuses too",
     "host: a.b\nsubsets: [{name: v1, trafficPolicy: {tls: {modus: SIMPLE}}}]",
     {"7: spec.subsets[0].trafficPolicy.tls.modus: unknown field; did you mean \"mode\"?"}},
    {"a selector and an export",
     "host: a.b\nworkloadSelector: {matchLabels: {a: b}}\nexportTo: ['*']",
     {"8: spec.exportTo: destination rule with workload selector cannot have exportTo beyond "
      "current namespace"}},
};
class DestinationRuleValidation : public testing::TestWithParam<Case> {};
TEST_P(DestinationRuleValidation, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(complaints(document("DestinationRule", GetParam().tls)), GetParam().complaints)
      << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, DestinationRuleValidation, testing::ValuesIn(rule_cases));

}  // namespace
}  // namespace sallyport::istio
