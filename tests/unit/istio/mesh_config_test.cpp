// MeshConfig from a file or from Istio's ConfigMap; what is mistyped must not open anything.
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

using std::chrono::milliseconds;

TEST(MeshConfigDecoding, DefaultsAreIstios) {
  const auto read = decode_mesh_config("", "mesh.yaml");
  EXPECT_TRUE(read.findings.empty());
  EXPECT_EQ(read.config.outbound_traffic_policy, OutboundMode::allow_any);
  EXPECT_EQ(read.config.connect_timeout, milliseconds(10'000));
  EXPECT_FALSE(read.config.default_retries);
}

const std::string bare =
    "outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\nconnectTimeout: 3s\nprotocolDetectionTimeout: "
    "0.1s\n"
    "dnsRefreshRate: 5s\naccessLogFile: /dev/stdout\naccessLogFormat: \"%START_TIME%\\n\"\n"
    "rootNamespace: root\ntrustDomain: td\nproxyListenPort: 1501\nproxyInboundListenPort: 1506\n"
    "defaultHttpRetryPolicy: {attempts: 0}\ndefaultDestinationRuleExportTo: ['.']\n"
    "defaultConfig:\n  concurrency: 2\n  drainDuration: 1m\n  terminationDrainDuration: 7s\n"
    "  proxyMetadata: {A: b}\n  discoveryAddress: istiod:15012\n";

void expect_all(const MeshConfigResult& read) {
  EXPECT_TRUE(read.findings.empty()) << testing::PrintToString(texts(read.findings));
  EXPECT_EQ(read.config.outbound_traffic_policy, OutboundMode::registry_only);
  EXPECT_EQ(read.config.connect_timeout, milliseconds(3'000));
  EXPECT_EQ(read.config.protocol_detection_timeout, milliseconds(100));
  EXPECT_EQ(read.config.dns_refresh_rate, milliseconds(5'000));
  EXPECT_EQ(read.config.access_log_file, "/dev/stdout");
  EXPECT_EQ(read.config.access_log_format, "%START_TIME%\n");
  EXPECT_EQ(read.config.root_namespace, "root");
  EXPECT_EQ(read.config.trust_domain, "td");
  EXPECT_EQ(read.config.proxy_listen_port, 1501);
  EXPECT_EQ(read.config.proxy_inbound_listen_port, 1506);
  EXPECT_EQ(read.config.default_retries->attempts, 0);
  EXPECT_EQ(read.config.default_destination_rule_export_to, std::vector<std::string>{"."});
  EXPECT_EQ(read.config.default_config.concurrency, 2);
  EXPECT_EQ(read.config.default_config.drain_duration, milliseconds(60'000));
  EXPECT_EQ(read.config.default_config.termination_drain_duration, milliseconds(7'000));
  EXPECT_EQ(read.config.default_config.proxy_metadata.at("A"), "b");
}

std::string config_map(const std::string& mesh) {
  std::string text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n"
      "  meshNetworks: 'networks: {}'\n  mesh: |-\n";
  for (std::size_t at = 0; at < mesh.size();) {
    const std::size_t end = std::min(mesh.find('\n', at), mesh.size());
    text += "    " + mesh.substr(at, end - at) + '\n';
    at = end + 1;
  }
  return text;
}

TEST(MeshConfigDecoding, TlsDefaultsKeepTheNamesThatIstioKnows) {
  const auto read = decode_mesh_config(
      "tlsDefaults:\n  minProtocolVersion: TLSV1_3\n"
      "  cipherSuites: [AES256-GCM-SHA384, NULL-MD5, AES256-GCM-SHA384, ECDHE-RSA-AES128-SHA]\n"
      "  ecdhCurves: [P-521, X25519MLKEM768, P-255, X25519]\n",
      "m.yaml");
  ASSERT_TRUE(read.config.tls_defaults);
  EXPECT_TRUE(read.config.tls_defaults->only_tls_1_3);
  EXPECT_EQ(read.config.tls_defaults->cipher_suites,
            (std::vector<std::string>{"AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA"}));
  EXPECT_EQ(read.config.tls_defaults->ecdh_curves, (std::vector<std::string>{"P-521", "X25519"}));
  const auto found = texts(read.findings);
  ASSERT_EQ(found.size(), 4u) << testing::PrintToString(found);
  EXPECT_NE(found[0].find("\"NULL-MD5\""), std::string::npos) << found[0];
  EXPECT_NE(found[1].find("listed twice"), std::string::npos) << found[1];
  EXPECT_NE(found[2].find("not available here"), std::string::npos) << found[2];
  EXPECT_NE(found[3].find("\"P-255\""), std::string::npos) << found[3];
  for (const auto& finding : read.findings) EXPECT_EQ(finding.severity, Severity::warning);
}

TEST(MeshConfigDecoding, RefusesATlsVersionThatIsNone) {
  const auto read = decode_mesh_config("tlsDefaults: {minProtocolVersion: TLSV1_4}\n", "m.yaml");
  ASSERT_EQ(read.findings.size(), 1u);
  EXPECT_EQ(read.findings[0].severity, Severity::error);
}

TEST(MeshConfigDecoding, ReadsABareDocument) { expect_all(decode_mesh_config(bare, "m.yaml")); }
TEST(MeshConfigDecoding, ReadsIstiosConfigMap) {
  expect_all(decode_mesh_config(config_map(bare), "m.yaml"));
}

struct Case {
  const char* name;
  std::string text, finding;
};
const Case cases[] = {
    {"a mistyped mode", "outboundTrafficPolicy: {mode: REGISTRY}",
     "m.yaml:1: MeshConfig: outboundTrafficPolicy.mode: unsupported value \"REGISTRY\", supported: "
     "REGISTRY_ONLY, ALLOW_ANY"},
    {"a mistyped field of the policy", "outboundTrafficPolicy: {modus: REGISTRY_ONLY}",
     "m.yaml:1: MeshConfig: outboundTrafficPolicy.modus: unknown field; did you mean \"mode\"?"},
    {"the line inside of a ConfigMap", config_map("rootNamespace: a\nconnectTimeout: 5"),
     "m.yaml:8: MeshConfig: connectTimeout: expected a duration such as 5s, 500ms or 1h10m, found "
     "a number"},
    {"a ConfigMap without a mesh", "kind: ConfigMap\ndata: {}",
     "m.yaml:1: MeshConfig: data.mesh: required"},
    {"two documents", "a: 1\n---\nb: 2", "m.yaml:2: MeshConfig: more than one document"},
    {"broken YAML", "a: [", "m.yaml:1: MeshConfig: YAML: end of sequence flow not found"},
    {"a list", "- a", "m.yaml:1: MeshConfig: expected an object, found a list"},
    {"a mistyped encoding", "accessLogEncoding: json",
     "m.yaml:1: MeshConfig: accessLogEncoding: unsupported value \"json\", supported: TEXT, JSON"},
    {"a text format for JSON", "accessLogEncoding: JSON\naccessLogFormat: '%START_TIME%'",
     "m.yaml:2: MeshConfig: accessLogFormat: with accessLogEncoding JSON it must be a JSON object; "
     "its line 1: expected a value"},
    {"a JSON format that is broken further down",
     "accessLogFormat: |\n  {\n    \"a\": b\n  }\naccessLogEncoding: JSON",
     "m.yaml:1: MeshConfig: accessLogFormat: with accessLogEncoding JSON it must be a JSON object; "
     "its line 2: expected a value"},
    {"a JSON format that is a list", "accessLogFormat: '[1]'\naccessLogEncoding: JSON",
     "m.yaml:1: MeshConfig: accessLogFormat: with accessLogEncoding JSON it must be a JSON object, "
     "found a list"},
};
const Case topology_cases[] = {
    {"a mistyped way with client certificates",
     "defaultConfig:\n  gatewayTopology:\n    forwardClientCertDetails: SANITISE",
     "m.yaml:3: MeshConfig: defaultConfig.gatewayTopology.forwardClientCertDetails: unsupported "
     "value \"SANITISE\", supported: UNDEFINED, SANITIZE, FORWARD_ONLY, APPEND_FORWARD, "
     "SANITIZE_SET, ALWAYS_FORWARD_ONLY"},
    {"less than no proxies", "defaultConfig: {gatewayTopology: {numTrustedProxies: -1}}",
     "m.yaml:1: MeshConfig: defaultConfig.gatewayTopology.numTrustedProxies: -1 is not a whole "
     "number from 0 to 4294967295"},
    {"more proxies than 32 bits count",
     "defaultConfig: {gatewayTopology: {numTrustedProxies: 4294967296}}",
     "m.yaml:1: MeshConfig: defaultConfig.gatewayTopology.numTrustedProxies: 4294967296 is not a "
     "whole number from 0 to 4294967295"},
    {"a PROXY protocol that is no object",
     "defaultConfig: {gatewayTopology: {proxyProtocol: true}}",
     "m.yaml:1: MeshConfig: defaultConfig.gatewayTopology.proxyProtocol: expected an object, found "
     "a boolean"},
};
class MeshConfigValidation : public testing::TestWithParam<Case> {};
TEST_P(MeshConfigValidation, SaysWhatIsWrongAndWhere) {
  const auto read = decode_mesh_config(GetParam().text, "m.yaml");
  ASSERT_FALSE(read.findings.empty()) << GetParam().name;
  EXPECT_EQ(read.findings[0].text(), GetParam().finding) << GetParam().name;
  EXPECT_EQ(read.findings[0].severity, Severity::error) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, MeshConfigValidation, testing::ValuesIn(cases));
INSTANTIATE_TEST_SUITE_P(GatewayTopology, MeshConfigValidation, testing::ValuesIn(topology_cases));

TEST(MeshConfigDecoding, ReadsAccessLogsInJson) {
  const auto read = decode_mesh_config(
      "accessLogFile: /dev/stdout\naccessLogEncoding: JSON\naccessLogFormat: '{\"a\": {}}'\n", "");
  EXPECT_TRUE(read.findings.empty()) << testing::PrintToString(texts(read.findings));
  EXPECT_EQ(read.config.access_log_encoding, LogEncoding::json);
  EXPECT_EQ(read.config.access_log_format, "{\"a\": {}}");
  EXPECT_EQ(read.config.access_log_format_line, 3);
  EXPECT_EQ(decode_mesh_config("accessLogEncoding: JSON", "").config.access_log_encoding,
            LogEncoding::json);
  EXPECT_EQ(decode_mesh_config("accessLogEncoding: TEXT", "").config.access_log_encoding,
            LogEncoding::text);
  EXPECT_EQ(decode_mesh_config("", "").config.access_log_encoding, LogEncoding::text);
}

TEST(MeshConfigDecoding, WarnsOfWhatItDoesNotDoYet) {
  const auto read = decode_mesh_config("h2UpgradePolicy: UPGRADE\nnonsense: 1\n", "m.yaml");
  EXPECT_EQ(texts(read.findings),
            (std::vector<std::string>{
                "m.yaml:1: warning: MeshConfig: h2UpgradePolicy: not supported yet, has no effect",
                "m.yaml:2: warning: MeshConfig: nonsense: unknown field, has no effect"}));
}

TEST(ProxyConfigDecoding, GoesFieldByFieldOverTheBase) {
  ProxyConfig base;
  base.concurrency = 4;
  base.proxy_metadata = {{"A", "base"}, {"B", "base"}};
  const auto read = decode_proxy_config(R"({"proxyMetadata":{"A":"own"},"drainDuration":"1s"})",
                                        "PROXY_CONFIG", base);
  EXPECT_TRUE(read.findings.empty());
  EXPECT_EQ(read.config.concurrency, 4);
  EXPECT_EQ(read.config.drain_duration, milliseconds(1'000));
  EXPECT_EQ(read.config.proxy_metadata,
            (std::map<std::string, std::string>{{"A", "own"}, {"B", "base"}}));
}

TEST(ProxyConfigDecoding, ReadsWhatStandsBeforeAGateway) {
  const auto read = decode_mesh_config(
      "defaultConfig:\n  gatewayTopology:\n    numTrustedProxies: 2\n"
      "    forwardClientCertDetails: APPEND_FORWARD\n    proxyProtocol: {}\n",
      "m.yaml");
  EXPECT_TRUE(read.findings.empty()) << testing::PrintToString(texts(read.findings));
  const auto& topology = read.config.default_config.gateway_topology;
  EXPECT_EQ(topology.trusted_proxies, 2u);
  EXPECT_EQ(topology.forward_client_cert, ForwardClientCert::append_forward);
  EXPECT_TRUE(topology.proxy_protocol);
  EXPECT_EQ(decode_mesh_config("", "").config.default_config.gateway_topology, GatewayTopology());
}

TEST(ProxyConfigDecoding, KnowsEveryWayWithClientCertificates) {
  const auto read = [](const std::string& value) {
    return decode_proxy_config("gatewayTopology: {forwardClientCertDetails: " + value + "}", "p",
                               {})
        .config.gateway_topology.forward_client_cert;
  };
  EXPECT_EQ(read("UNDEFINED"), ForwardClientCert::undefined);
  EXPECT_EQ(read("SANITIZE"), ForwardClientCert::sanitize);
  EXPECT_EQ(read("FORWARD_ONLY"), ForwardClientCert::forward_only);
  EXPECT_EQ(read("APPEND_FORWARD"), ForwardClientCert::append_forward);
  EXPECT_EQ(read("SANITIZE_SET"), ForwardClientCert::sanitize_set);
  EXPECT_EQ(read("ALWAYS_FORWARD_ONLY"), ForwardClientCert::always_forward_only);
  EXPECT_EQ(read("5"), ForwardClientCert::always_forward_only);
}

TEST(ProxyConfigDecoding, TakesAGatewaysTopologyAsAWhole) {
  ProxyConfig base;
  base.gateway_topology = {.trusted_proxies = 3, .proxy_protocol = true};
  const auto kept = decode_proxy_config(R"({"gatewayTopology":null})", "PROXY_CONFIG", base);
  EXPECT_EQ(kept.config.gateway_topology, base.gateway_topology);
  const auto read =
      decode_proxy_config(R"({"gatewayTopology":{"numTrustedProxies":1}})", "PROXY_CONFIG", base);
  EXPECT_TRUE(read.findings.empty());
  EXPECT_EQ(read.config.gateway_topology, GatewayTopology{.trusted_proxies = 1});
}

TEST(MeshConfig, ReadsTheWholeDefaultRetryPolicy) {
  const auto read = decode_mesh_config(
      "defaultHttpRetryPolicy: {attempts: 3, retryOn: '5xx,409', perTryTimeout: 2s, backoff: 1s}",
      "mesh");
  EXPECT_TRUE(read.findings.empty()) << testing::PrintToString(texts(read.findings));
  ASSERT_TRUE(read.config.default_retries);
  EXPECT_EQ(read.config.default_retries->attempts, 3);
  EXPECT_EQ(read.config.default_retries->retry_on, "5xx,409");
  EXPECT_EQ(read.config.default_retries->per_try_timeout, milliseconds(2'000));
  EXPECT_EQ(read.config.default_retries->backoff, milliseconds(1'000));
}

TEST(MeshConfig, ARetryPolicyWithoutAttemptsTurnsRetriesOff) {
  const auto read = decode_mesh_config("defaultHttpRetryPolicy: {retryOn: 5xx}", "mesh");
  EXPECT_TRUE(read.findings.empty()) << testing::PrintToString(texts(read.findings));
  ASSERT_TRUE(read.config.default_retries);
  EXPECT_EQ(read.config.default_retries->attempts, 0);
}

}  // namespace
}  // namespace sallyport::istio
