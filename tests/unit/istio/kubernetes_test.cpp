// Kubernetes' own resources, lists, API groups, and the kinds that are none of ours.
#include "agent/core/limits.h"
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

std::string service(const std::string& ports, const std::string& more = "") {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports: " + ports + "\n" +
         more;
}

TEST(ServiceDecoding, ReadsWhatRoutingNeeds) {
  const auto web = only<Service>(service(
      "[{name: http-web, port: 80, targetPort: 8080}, {name: admin, port: 81, targetPort: "
      "metrics}]",
      "  clusterIP: 10.1.2.3\n  clusterIPs: [10.1.2.3, '2001:db8::3']\n  selector: {app: web}\n"
      "  sessionAffinity: None\nstatus: {loadBalancer: {}}\n"));
  EXPECT_EQ(web.cluster_ips, (std::vector<std::string>{"10.1.2.3", "2001:db8::3"}));
  EXPECT_EQ(web.selector.at("app"), "web");
  ASSERT_EQ(web.ports.size(), 2u);
  EXPECT_EQ(web.ports[0].number, 80);
  EXPECT_EQ(web.ports[0].target_port, 8080);
  EXPECT_EQ(web.ports[0].protocol, "HTTP");
  EXPECT_EQ(web.ports[1].target_port, 0);
  EXPECT_EQ(web.ports[1].target_port_name, "metrics");
}

struct ProtocolCase {
  const char* name;
  const char* port;
  const char* protocol;
};
const ProtocolCase protocol_cases[] = {
    {"by the name's prefix", "{port: 80, name: http2-web}", "HTTP2"},
    {"without regard to case", "{port: 80, name: HTTP-web}", "HTTP"},
    {"grpc-web before grpc", "{port: 80, name: grpc-web-x}", "GRPC-WEB"},
    {"grpc", "{port: 80, name: grpc-x}", "GRPC"},
    {"a name that says nothing", "{port: 80, name: web}", ""},
    {"no name", "{port: 80}", ""},
    {"a well-known port of a server that speaks first", "{port: 3306, name: db}", "TCP"},
    {"a name wins over the well-known port", "{port: 3306, name: http-db}", "HTTP"},
    {"appProtocol wins over the name", "{port: 80, name: http-x, appProtocol: tcp}", "TCP"},
    {"appProtocol of Kubernetes: h2c", "{port: 80, appProtocol: kubernetes.io/h2c}", "HTTP2"},
    {"appProtocol of Kubernetes: ws", "{port: 80, appProtocol: kubernetes.io/ws}", "HTTP"},
    {"appProtocol of Kubernetes: wss", "{port: 80, appProtocol: kubernetes.io/wss}", "HTTPS"},
    {"an appProtocol that nobody knows", "{port: 80, name: http-x, appProtocol: foo}", ""},
    {"UDP is UDP", "{port: 80, name: http-x, protocol: UDP}", "UDP"},
};
class ServiceProtocol : public testing::TestWithParam<ProtocolCase> {};
TEST_P(ServiceProtocol, IsChosenAsIstioDoes) {
  const auto web = only<Service>(service("[" + std::string(GetParam().port) + "]"));
  EXPECT_EQ(web.ports.at(0).protocol, GetParam().protocol) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, ServiceProtocol, testing::ValuesIn(protocol_cases));

TEST(ServiceDecoding, KnowsExternalNameAndHeadless) {
  const auto external =
      only<Service>(service("[]", "  type: ExternalName\n  externalName: a.example.com\n"));
  EXPECT_EQ(external.external_name, "a.example.com");
  const auto headless = only<Service>(service("[{port: 80}]", "  clusterIP: None\n"));
  EXPECT_EQ(headless.cluster_ips, std::vector<std::string>{"None"});
  EXPECT_FALSE(headless.publish_not_ready);
  EXPECT_TRUE(only<Service>(service("[]", "  publishNotReadyAddresses: true\n")).publish_not_ready);
}

TEST(ServiceDecoding, NamesWhatIsWrong) {
  EXPECT_EQ(
      complaints(service("[{name: a, port: 0}, {port: 81}, {name: a, port: 82, protocol: ICMP}]",
                         "  clusterIP: 1.2.3\n")),
      (std::vector<std::string>{
          "5: spec.ports[0].port: port number 0 must be in the range 1..65535",
          "5: spec.ports[2].protocol: unsupported value \"ICMP\", supported: TCP, UDP, SCTP; it "
          "is taken for TCP",
          "5: spec.clusterIPs: \"1.2.3\" is not a valid IP address",
          "5: spec.ports[1].name: required where there are several ports",
          "5: spec.ports[2].name: duplicate value \"a\""}));
}

TEST(SecretDecoding, DecodesDataAndPrefersStringData) {
  const auto secret = only<Secret>(
      "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: s, namespace: ns}\n"
      "data: {tls.crt: aGVsbG8=, tls.key: b2xk}\nstringData:\n  tls.key: |\n    new\n");
  EXPECT_EQ(secret.metadata.namespace_name(), "ns");
  EXPECT_EQ(secret.data.at("tls.crt"), "hello");
  EXPECT_EQ(secret.data.at("tls.key"), "new\n");
}

TEST(SecretDecoding, NeverShowsAValue) {
  for (const std::string data :
       {"data: {k: 'S3cr3tS3cr3t!'}", "data: {k: [S3cr3tS3cr3t]}", "data: S3cr3tS3cr3t",
        "stringData: {k: 1353}", "data: {k: \"S3cr3tS3cr3t}",
        "data:\n  k: S3cr3t\n bad: S3cr3t\n"}) {
    const Decoded decoded =
        decode("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + data, "f");
    EXPECT_EQ(decoded.refused.size(), 1u) << data;
    for (const Finding& finding : decoded.findings) {
      EXPECT_EQ(finding.text().find("S3cr3t"), std::string::npos) << finding.text();
      EXPECT_EQ(finding.text().find("1353"), std::string::npos) << finding.text();
    }
  }
}

TEST(SecretDecoding, NamesTheKeyThatIsNotBase64) {
  EXPECT_EQ(
      complaints("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: aGk=\n  b: '?'\n"),
      (std::vector<std::string>{
          "4: data: the value of \"b\" is not base64 (text goes to stringData)"}));
}

TEST(SecretDecoding, RefusesWhatNoClusterWouldStoreAndTakesTheNextOne) {
  const std::string big(limits::secret_bytes, 'x');
  const auto document = [](const std::string& kind, const std::string& name,
                           const std::string& value) {
    return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\n" +
           (kind == "Secret" ? "stringData" : "data") + ":\n  a: v\n  k: " + value + "\n---\n";
  };
  const Decoded decoded =
      decode(document("Secret", "big", big) + document("Secret", "two", big + big) +
                 document("ConfigMap", "map", big) + document("Secret", "good", "z"),
             "f.yaml");
  ASSERT_EQ(decoded.refused.size(), 3u);
  EXPECT_EQ(decoded.refused[0].finding.reason,
            "too long: 1048577 bytes, may not be more than 1048576");
  EXPECT_EQ(decoded.refused[1].name, "two");
  EXPECT_EQ(decoded.refused[2].name, "map");
  ASSERT_EQ(decoded.resources.size(), 1u);
  EXPECT_EQ(metadata_of(decoded.resources[0]).name(), "good");
}

TEST(ConfigMapDecoding, TakesTextAndBinary) {
  const auto map = only<ConfigMap>(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: text}\nbinaryData: {b: "
      "aGk=}\n");
  EXPECT_EQ(map.data.at("a"), "text");
  EXPECT_EQ(map.data.at("b"), "hi");
}

TEST(Lists, GiveEachItemWithItsOwnLine) {
  const Decoded decoded = decode(
      "apiVersion: v1\nkind: List\nitems:\n"
      "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n"
      "- apiVersion: v1\n  kind: Secret\n  metadata: {name: b}\n  data: {x: '!'}\n"
      "- apiVersion: v1\n  kind: ConfigMapList\n  items:\n"
      "  - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n"
      "- just text\n",
      "f.yaml");
  ASSERT_EQ(decoded.resources.size(), 2u);
  EXPECT_EQ(metadata_of(decoded.resources[0]).ref->line, 4);
  EXPECT_EQ(metadata_of(decoded.resources[1]).ref->text(), "ConfigMap default/c (f.yaml:14)");
  ASSERT_EQ(decoded.refused.size(), 2u);
  EXPECT_EQ(decoded.refused[0].name, "b");
}

struct KindCase {
  const char* name;
  const char* head;
  std::string finding;
  std::size_t refused;
};
const KindCase kind_cases[] = {
    {"another kind of Kubernetes", "apiVersion: apps/v1\nkind: Deployment",
     "f.yaml:1: warning: Deployment (apps/v1) has no effect here", 0},
    {"a Service that is not Kubernetes'", "apiVersion: serving.knative.dev/v1\nkind: Service",
     "f.yaml:1: warning: Service (serving.knative.dev/v1) has no effect here", 0},
    {"Envoy's own", "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter",
     "f.yaml:1: warning: EnvoyFilter default/x: this kind is not supported, has no effect", 0},
    {"Istio's, not yet", "apiVersion: security.istio.io/v1\nkind: RequestAuthentication",
     "f.yaml:1: warning: RequestAuthentication default/x: this kind is not supported, has no "
     "effect",
     0},
    {"a version that there isn't", "apiVersion: networking.istio.io/v2\nkind: DestinationRule",
     "f.yaml:1: DestinationRule default/x: apiVersion: no such version: \"networking.istio.io/v2\"",
     1},
    {"no version", "kind: DestinationRule",
     "f.yaml:1: DestinationRule default/x: apiVersion: required", 1},
};
class Kinds : public testing::TestWithParam<KindCase> {};
TEST_P(Kinds, ThatAreNotReadSaySo) {
  const KindCase& c = GetParam();
  const Decoded decoded =
      decode(std::string(c.head) + "\nmetadata: {name: x}\nspec: {host: a.b}\n", "f.yaml");
  EXPECT_EQ(texts(decoded.findings), std::vector<std::string>{c.finding}) << c.name;
  EXPECT_EQ(decoded.refused.size(), c.refused) << c.name;
  EXPECT_TRUE(decoded.resources.empty());
}
INSTANTIATE_TEST_SUITE_P(Spec, Kinds, testing::ValuesIn(kind_cases));

TEST(Metadata, IsChecked) {
  const std::string head = "apiVersion: v1\nkind: ConfigMap\n";
  EXPECT_EQ(complaints(head), (std::vector<std::string>{"1: metadata: required"}));
  EXPECT_EQ(complaints(head + "metadata: {labels: {a: b}}"),
            (std::vector<std::string>{"3: metadata.name: required"}));
  EXPECT_EQ(complaints(head + "metadata: {name: a, labels: {version: yes}}").size(), 1u);
  EXPECT_EQ(complaints(head + "metadata: {name: a, namespace: 'a b'}"),
            (std::vector<std::string>{"3: metadata.namespace: invalid value \"a b\""}));
  EXPECT_NE(complaints(head + "metadata: {name: A}").at(0).find("lowercase RFC 1123"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::istio
