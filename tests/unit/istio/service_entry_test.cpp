// ServiceEntry: what is read, and what Istio's validation refuses, with its line and message.
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

TEST(ServiceEntryDecoding, ReadsEveryField) {
  const auto entry = only<ServiceEntry>(
      "apiVersion: networking.istio.io/v1beta1\nkind: ServiceEntry\n"
      "metadata:\n  name: cnn\n  namespace: egress\n  labels: {team: web}\nspec:\n"
      "  hosts: [Edition.CNN.com, www.cnn.com]\n"
      "  addresses: [10.1.0.0/16, '2001:db8::1']\n"
      "  ports:\n  - {number: 80, name: http, protocol: http, targetPort: 8080}\n"
      "  - number: 443\n    name: tls\n    protocol: TLS\n"
      "  location: MESH_INTERNAL\n  resolution: STATIC\n"
      "  endpoints:\n  - address: 10.2.3.4\n    ports: {http: 8081}\n    labels: {version: v1}\n"
      "    serviceAccount: sa\n    weight: 3\n"
      "  exportTo: ['.']\n  subjectAltNames: ['spiffe://a/b']\n");
  EXPECT_EQ(entry.metadata.namespace_name(), "egress");
  EXPECT_EQ(entry.metadata.labels.at("team"), "web");
  EXPECT_EQ(entry.metadata.ref->text(), "ServiceEntry egress/cnn (f.yaml:1)");
  EXPECT_EQ(entry.hosts, (std::vector<std::string>{"edition.cnn.com", "www.cnn.com"}));
  EXPECT_EQ(entry.addresses, (std::vector<std::string>{"10.1.0.0/16", "2001:db8::1"}));
  ASSERT_EQ(entry.ports.size(), 2u);
  EXPECT_EQ(entry.ports[0].number, 80);
  EXPECT_EQ(entry.ports[0].target_port, 8080);
  EXPECT_EQ(entry.ports[0].protocol, "HTTP");
  EXPECT_EQ(entry.ports[1].line, 12);
  EXPECT_EQ(entry.location, Location::mesh_internal);
  EXPECT_EQ(entry.resolution, Resolution::static_);
  ASSERT_EQ(entry.endpoints.size(), 1u);
  EXPECT_EQ(entry.endpoints[0].address, "10.2.3.4");
  EXPECT_EQ(entry.endpoints[0].ports.at("http"), 8081);
  EXPECT_EQ(entry.endpoints[0].labels.at("version"), "v1");
  EXPECT_EQ(entry.endpoints[0].service_account, "sa");
  EXPECT_EQ(entry.endpoints[0].weight, 3u);
  EXPECT_EQ(entry.export_to, std::vector<std::string>{"."});
  EXPECT_EQ(entry.subject_alt_names, std::vector<std::string>{"spiffe://a/b"});
}

TEST(ServiceEntryDecoding, TakesSnakeCaseAndEnumNumbersAsProtoJsonDoes) {
  const auto entry =
      only<ServiceEntry>(document("ServiceEntry",
                                  "hosts: [a.b]\nresolution: 2\nexport_to: ['*']\n"
                                  "ports: [{number: 0x50, name: http, target_port: 8080}]"));
  EXPECT_EQ(entry.resolution, Resolution::dns);
  EXPECT_EQ(entry.export_to, std::vector<std::string>{"*"});
  EXPECT_EQ(entry.ports.at(0).number, 80);
  EXPECT_EQ(entry.ports.at(0).target_port, 8080);
}

struct Case {
  const char* name;
  std::string spec;                     // begins in line 6
  std::vector<std::string> complaints;  // empty: accepted in silence
};
const std::string http = "ports: [{number: 80, name: http, protocol: HTTP}]\n";
const Case cases[] = {
    {"no hosts",
     http + "resolution: NONE",
     {"6: spec.hosts: service entry must have at least one host"}},
    {"the bare wildcard", "hosts: ['*']\n" + http, {"6: spec.hosts: invalid host *"}},
    {"a host that is none",
     "hosts: [a_b.example]\n" + http,
     {"6: spec.hosts: domain name \"a_b.example\" invalid (label \"a_b\" invalid)"}},
    {"a URL for a host",
     "hosts: ['https://a.example']\n" + http,
     {"6: spec.hosts: domain name \"https://a.example\" invalid (label \"https://a\" invalid)"}},
    {"a wildcard", "hosts: ['*.example.com']\n" + http, {}},
    {"a partial wildcard is a warning",
     "hosts: ['*foo.com']\n" + http,
     {"6: spec.hosts: partial wildcard \"*foo.com\" not allowed"}},
    {"hosts as a string",
     "hosts: a.b\n" + http,
     {"6: spec.hosts: expected a list of strings, found a string",
      "6: spec.hosts: service entry must have at least one host"}},
    {"a number for a host",
     "hosts: [12]\n" + http,
     {"6: spec.hosts[0]: expected a string, found a number (put it in quotes)",
      "6: spec.hosts: empty domain name not allowed"}},
    {"port 0",
     "hosts: [a.b]\nports: [{number: 0, name: x}]",
     {"7: spec.ports[0].number: port number 0 must be in the range 1..65535"}},
    {"port 65536",
     "hosts: [a.b]\nports:\n- number: 65536\n  name: x",
     {"8: spec.ports[0].number: port number 65536 must be in the range 1..65535"}},
    {"no port number",
     "hosts: [a.b]\nports:\n- name: x",
     {"8: spec.ports[0].number: port number 0 must be in the range 1..65535"}},
    {"a port in quotes",
     "hosts: [a.b]\nports: [{number: '80', name: x}]",
     {"7: spec.ports[0].number: expected a whole number, found a string"}},
    {"half a port",
     "hosts: [a.b]\nports: [{number: 80.5, name: x}]",
     {"7: spec.ports[0].number: 80.5 is not a whole number from -9223372036854775808 to "
      "9223372036854775807"}},
    {"no port name",
     "hosts: [a.b]\nports: [{number: 80}]",
     {"7: spec.ports[0].name: invalid port name: it is required"}},
    {"the same port twice",
     "hosts: [a.b]\nports:\n- {number: 80, name: x}\n- {number: 80, name: x}",
     {"9: spec.ports[1].name: service entry port name \"x\" already defined",
      "9: spec.ports[1].number: service entry port 80 already defined"}},
    {"an unknown protocol",
     "hosts: [a.b]\nports: [{number: 80, name: x, protocol: FTP}]",
     {"7: spec.ports[0].protocol: unsupported protocol: \"FTP\""}},
    {"a bad resolution",
     "hosts: [a.b]\n" + http + "resolution: dns",
     {"8: spec.resolution: unsupported value \"dns\", supported: NONE, STATIC, DNS, "
      "DNS_ROUND_ROBIN, DYNAMIC_DNS"}},
    {"an address that is none",
     "hosts: [a.b]\naddresses: [10.0.0.300]\n" + http,
     {"7: spec.addresses: \"10.0.0.300\" is not a valid IP address"}},
    {"a block that is none",
     "hosts: [a.b]\naddresses: [10.0.0.0/33]\n" + http,
     {"7: spec.addresses: \"10.0.0.0/33\" is not a valid CIDR block"}},
    {"a block with DNS",
     "hosts: [a.b]\naddresses: [10.0.0.0/8]\nresolution: DNS\n" + http,
     {"7: spec.addresses: CIDR addresses are allowed only for NONE/STATIC resolution types"}},
    {"endpoints with NONE",
     "hosts: [a.b]\nendpoints: [{address: 1.2.3.4}]\n" + http,
     {"7: spec.endpoints: no endpoints should be provided for resolution type none"}},
    {"a name as STATIC endpoint",
     "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: c.d}]\n" + http,
     {"8: spec.endpoints[0].address: endpoint address \"c.d\" is not a valid IP address"}},
    {"a unix endpoint with DNS",
     "hosts: [a.b]\nresolution: DNS\nendpoints: [{address: 'unix:///x'}]\n" + http,
     {"8: spec.endpoints[0].address: endpoint address \"unix:///x\" is not a valid FQDN or an IP "
      "address"}},
    {"a unix endpoint",
     "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 'unix:///x'}]\n" + http,
     {}},
    {"an abstract unix endpoint",
     "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 'unix://@x'}]\n" + http,
     {}},
    {"a unix endpoint whose path fits no socket's address",
     "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 'unix:///" + std::string(107, 'x') +
         "'}]\n" + http,
     {"8: spec.endpoints[0].address: a unix socket's path of 108 bytes: the kernel takes 107"}},
    {"a unix endpoint without a name",
     "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 'unix://@'}]\n" + http,
     {"8: spec.endpoints[0].address: \"@\" is no path that a unix socket can have"}},
    {"a relative unix endpoint",
     "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 'unix://x', ports: {http: 1}}]\n" +
         http,
     {"8: spec.endpoints[0].address: \"x\" is not an absolute path to a file",
      "8: spec.endpoints[0].ports: unix endpoint unix://x must not include ports"}},
    {"no address",
     "hosts: [a.b]\nresolution: STATIC\nendpoints: [{weight: 1}]\n" + http,
     {"8: spec.endpoints[0].address: address is required"}},
    {"an endpoint's port that the entry lacks",
     "hosts: [a.b]\nresolution: DNS\nendpoints: [{address: c.d, ports: {web: 80}}]\n" + http,
     {"8: spec.endpoints[0].ports: endpoint port \"web\" is not defined by the service entry"}},
    {"two endpoints with DNS_ROUND_ROBIN",
     "hosts: [a.b]\nresolution: DNS_ROUND_ROBIN\nendpoints: [{address: c.d}, {address: e.f}]\n" +
         http,
     {"8: spec.endpoints: there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN"}},
    {"a wildcard with DNS and no endpoints",
     "hosts: ['*.a.b']\nresolution: DNS\n" + http,
     {"6: spec.hosts: hosts must be FQDN if no endpoints are provided for resolution mode DNS"}},
    {"two hosts on TCP with DNS",
     "hosts: [a.b, c.d]\nresolution: DNS\nports: [{number: 1, name: t, protocol: TCP}]",
     {"6: spec.hosts: multiple hosts provided with non-HTTP, non-TLS ports"}},
    {"two hosts on TCP with NONE",
     "hosts: [a.b, c.d]\nports: [{number: 1, name: t, protocol: TCP}]",
     {}},
    {"selector and endpoints",
     "hosts: [a.b]\nresolution: STATIC\nworkloadSelector: {labels: {a: b}}\nendpoints: [{address: "
     "1.2.3.4}]\n" +
         http,
     {"8: spec.workloadSelector: only one of WorkloadSelector or Endpoints is allowed in Service "
      "Entry"}},
    {"a wildcard in a selector",
     "hosts: [a.b]\nresolution: STATIC\nworkloadSelector: {labels: {a: 'b*'}}\n" + http,
     {"8: spec.workloadSelector.labels: wildcard is not supported in selector: \"a=b*\""}},
    {"exported to nobody and somebody",
     "hosts: [a.b]\nexportTo: ['~', '.']\n" + http,
     {"7: spec.exportTo: cannot export service entry to no one (~) and someone"}},
    {"exported twice",
     "hosts: [a.b]\nexportTo: [a, a]\n" + http,
     {"7: spec.exportTo: duplicate entries in exportTo for entry \"a\""}},
    {"DYNAMIC_DNS with a plain host",
     "hosts: [a.b]\nresolution: DYNAMIC_DNS\n" + http,
     {"6: spec.hosts: hosts must be wildcards for resolution mode DYNAMIC_DNS"}},
    {"an unknown field is a warning",
     "hosts: [a.b]\nhost: c.d\n" + http,
     {"7: spec.host: unknown field, has no effect; did you mean \"hosts\"?"}},
    {"a field given in both spellings",
     "hosts: [a.b]\nexportTo: ['.']\nexport_to: ['*']\n" + http,
     {"7: spec.exportTo: given twice, also as \"export_to\""}},
};
class ServiceEntryValidation : public testing::TestWithParam<Case> {};
TEST_P(ServiceEntryValidation, SaysWhatIsWrongAndWhere) {
  auto found = complaints(document("ServiceEntry", GetParam().spec));
  // That is said of most of them, and tested in verdict_test.cpp.
  std::erase_if(found,
                [](const auto& one) { return one.ends_with("Autoallocation is not enabled"); });
  EXPECT_EQ(found, GetParam().complaints) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, ServiceEntryValidation, testing::ValuesIn(cases));

TEST(ServiceEntryDecoding, WarningsDoNotRefuse) {
  const Decoded decoded =
      decode(document("ServiceEntry", "hosts: ['*foo.com']\nodd: 1\n" + http), "f");
  EXPECT_EQ(decoded.resources.size(), 1u);
  EXPECT_EQ(decoded.findings.size(), 2u);
  EXPECT_EQ(decoded.findings[0].severity, Severity::warning);
}

TEST(ServiceEntryDecoding, WithoutASpecIsRefused) {
  EXPECT_EQ(
      complaints("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: x}\n"),
      (std::vector<std::string>{"1: spec: required"}));
}

TEST(ServiceEntryDecoding, ListsOnlySoManyErrorsOfOneResource) {
  std::string spec = "hosts: [a.b]\nports:\n";
  for (int port = 0; port < 1000; ++port) spec += "- {number: 0, name: x}\n";
  const Decoded decoded = decode(document("ServiceEntry", spec), "f");
  EXPECT_EQ(decoded.findings.size(), 20u);
  EXPECT_NE(decoded.findings.back().reason.find("(and more)"), std::string::npos);
  EXPECT_EQ(decoded.refused.size(), 1u);
}

struct AddressCase {
  const char* rule;
  const char* labels;
  const char* spec;
  bool gets_one;
};
void PrintTo(const AddressCase& c, std::ostream* out) { *out << c.rule; }
const AddressCase address_cases[] = {
    {"none is named", "{}", "resolution: DNS", true},
    {"its own is enough", "{}", "resolution: DNS, addresses: [192.0.2.1]", false},
    {"of NONE the client knows the address", "{}", "resolution: NONE", false},
    {"opted out", "{networking.istio.io/enable-autoallocate-ip: 'False'}", "resolution: DNS",
     false},
    {"opted in", "{networking.istio.io/enable-autoallocate-ip: 'true'}", "resolution: DNS", true},
};
class ServiceEntryAddress : public testing::TestWithParam<AddressCase> {};
TEST_P(ServiceEntryAddress, IsGivenByIstioWhere) {
  const auto& c = GetParam();
  const auto entry = only<ServiceEntry>(
      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, labels: " +
      std::string(c.labels) +
      "}\nspec: {hosts: [e.example.com], ports: [{number: 80, name: http, "
      "protocol: HTTP}], " +
      c.spec + "}\n");
  EXPECT_EQ(gets_an_address(entry), c.gets_one);
}
INSTANTIATE_TEST_SUITE_P(Spec, ServiceEntryAddress, testing::ValuesIn(address_cases));

TEST(ServiceEntryDecoding, TakesTheAddressesOfItsStatusAndPassesOverWhatIsNone) {
  const std::string text = document("ServiceEntry", "hosts: [a.b]\n" + http);
  const std::string status = R"(status:
  addresses:
  - {value: 240.240.1.7, host: A.b}
  - {value: '2001:2::107', host: a.b}
  - {value: nonsense, host: a.b}
  - {value: 240.240.1.8}
  - {host: a.b}
  - {value: [240.240.1.9], host: a.b}
  - 7
  -
  conditions: []
)";
  using Addresses = std::vector<std::pair<std::string, IpAddress>>;
  const Addresses read = {{"a.b", *IpAddress::parse("240.240.1.7")},
                          {"a.b", *IpAddress::parse("2001:2::107")}};
  EXPECT_EQ(only<ServiceEntry>(text + status).status_addresses, read);
  EXPECT_EQ(complaints(text + status), std::vector<std::string>());
  for (const char* odd : {"7", "[7]", "{addresses: 7}", "{addresses: {value: 1.2.3.4}}", ""})
    EXPECT_EQ(only<ServiceEntry>(text + "status: " + odd + "\n").status_addresses, Addresses())
        << odd;
}

}  // namespace
}  // namespace sallyport::istio
