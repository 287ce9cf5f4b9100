// Gateway: what is read, and what Istio's validation refuses (istio/istio:pkg/config/validation).
#include "agent/istio/gateway.h"

#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

// `spec` in flow style, on line 5.
std::string gateway(const std::string& spec, const std::string& name = "x") {
  return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " + name +
         ", namespace: foo}\n\nspec: " + spec + "\n";
}
// One server of hosts [a.com] on 443 with `tls`.
std::string server(const std::string& tls, const std::string& protocol = "HTTPS") {
  return gateway("{servers: [{hosts: [a.com], port: {number: 443, name: web, protocol: " +
                 protocol + "}, tls: " + tls + "}]}");
}
std::string plain(const std::string& hosts, const std::string& port, const std::string& more = "") {
  return gateway("{servers: [{hosts: " + hosts + ", port: " + port + more + "}]}");
}
const std::string http = "{number: 80, name: http, protocol: HTTP}";

TEST(GatewayDecoding, ReadsEveryField) {
  const auto read = only<Gateway>(
      "apiVersion: networking.istio.io/v1beta1\nkind: Gateway\nmetadata: {name: x}\n"
      "spec:\n"
      "  selector: {istio: ingressgateway}\n"
      "  servers:\n"
      "  - name: first\n"
      "    bind: 10.1.2.3\n"
      "    port: {number: 443, name: https, protocol: https}\n"
      "    hosts: [A.com, ./b.com, 'ns/*.c.com', '*/*']\n"
      "    defaultEndpoint: 127.0.0.1:80\n"
      "    tls:\n"
      "      mode: MUTUAL\n"
      "      serverCertificate: /cert\n"
      "      privateKey: /key\n"
      "      caCertificates: /ca\n"
      "      caCrl: /crl\n"
      "      subjectAltNames: [me]\n"
      "      verifyCertificateSpki: [47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=]\n"
      "      verifyCertificateHash: "
      "[e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855]\n"
      "      minProtocolVersion: TLSV1_2\n"
      "      maxProtocolVersion: TLSV1_3\n"
      "      cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256, '-AES128-SHA']\n"
      "      ecdhCurves: [P-256]\n"
      "      insecureSkipVerify: true\n"
      "  - port: {number: 80, name: http, protocol: HTTP}\n"
      "    hosts: ['*']\n"
      "    tls: {httpsRedirect: true}\n");
  EXPECT_EQ(read.selector.at("istio"), "ingressgateway");
  ASSERT_EQ(read.servers.size(), 2u);
  const auto& first = read.servers[0];
  EXPECT_EQ(first.name + " " + first.bind, "first 10.1.2.3");
  EXPECT_EQ(first.port, 443);
  EXPECT_EQ(first.port_name + " " + first.protocol, "https HTTPS");
  EXPECT_EQ(first.line, 7);
  std::string hosts;
  for (const auto& host : first.hosts) hosts += host.namespace_name + "/" + host.name + " ";
  EXPECT_EQ(hosts, "*/a.com ./b.com ns/*.c.com */* ");
  ASSERT_TRUE(first.tls);
  const auto& tls = *first.tls;
  EXPECT_EQ(tls.mode, ServerTlsMode::mutual);
  ASSERT_EQ(tls.certificates.size(), 1u);
  EXPECT_EQ(tls.certificates[0].certificate + tls.certificates[0].private_key, "/cert/key");
  EXPECT_EQ(tls.ca_certificates + tls.ca_crl, "/ca/crl");
  EXPECT_EQ(tls.subject_alt_names, std::vector<std::string>{"me"});
  EXPECT_EQ(tls.certificate_spki.size(), 1u);
  EXPECT_EQ(tls.certificate_hash.size(), 1u);
  EXPECT_EQ(tls.lowest, TlsVersion::v1_2);
  EXPECT_EQ(tls.highest, TlsVersion::v1_3);
  EXPECT_EQ(tls.cipher_suites,
            (std::vector<std::string>{"ECDHE-RSA-AES128-GCM-SHA256", "-AES128-SHA"}));
  EXPECT_EQ(tls.ecdh_curves, std::vector<std::string>{"P-256"});
  EXPECT_TRUE(tls.insecure_skip_verify);
  EXPECT_EQ(tls.line, 13);
  ASSERT_TRUE(read.servers[1].tls);
  EXPECT_TRUE(read.servers[1].tls->https_redirect);
}

TEST(GatewayDecoding, ReadsTwoCertificatesOfEitherKind) {
  const auto secrets = only<Gateway>(server("{mode: SIMPLE, credentialNames: [rsa, ecdsa]}"));
  EXPECT_EQ(secrets.servers.at(0).tls.value().credential_names,
            (std::vector<std::string>{"rsa", "ecdsa"}));
  const auto files = only<Gateway>(
      server("{mode: OPTIONAL_MUTUAL, caCertificates: /ca, tlsCertificates: ["
             "{serverCertificate: /1, privateKey: /2}, {serverCertificate: /3, privateKey: /4}]}"));
  ASSERT_EQ(files.servers.at(0).tls.value().certificates.size(), 2u);
  EXPECT_EQ(files.servers.at(0).tls.value().certificates[1].private_key, "/4");
}

TEST(GatewayDecoding, AModeThatIsNotGivenIsPassthrough) {
  EXPECT_EQ(only<Gateway>(server("{}", "TLS")).servers.at(0).tls.value().mode,
            ServerTlsMode::passthrough);
}

struct Case {
  const char* name;
  std::string text;
  std::vector<std::string> complaints;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const std::string files = "serverCertificate: /c, privateKey: /k";
const std::string no_ca =
    "5: spec.servers[0].tls.caCertificates: MUTUAL TLS requires a client CA bundle";
const std::string no_certificate =
    "5: spec.servers[0].tls.serverCertificate: MUTUAL TLS requires a server certificate";
const std::string no_key = "5: spec.servers[0].tls.privateKey: MUTUAL TLS requires a private key";
const std::string one_source =
    "5: spec.servers[0].tls: only one of credential_name, credential_names, "
    "server_certificate/private_key, tls_certificates should be specified";

const Case refused[] = {
    {"no server", gateway("{}"), {"5: spec.servers: gateway must have at least one server"}},
    {"a name with a dot",
     gateway("{servers: [{hosts: [a.com], port: " + http + "}]}", "a.b"),
     {"1: metadata.name: invalid gateway name: \"a.b\""}},
    {"no host",
     plain("[]", http),
     {"5: spec.servers[0].hosts: server config must contain at least one host"}},
    {"no port",
     gateway("{servers: [{hosts: [a.com]}]}"),
     {"5: spec.servers[0].port: port is required"}},
    {"a port that is none",
     plain("[a.com]", "{number: 66000, name: web, protocol: HTTP}"),
     {"5: spec.servers[0].port.number: port number 66000 must be in the range 1..65535"}},
    {"port 0",
     plain("[a.com]", "{number: 0, name: web, protocol: HTTP}"),
     {"5: spec.servers[0].port.number: port number 0 must be in the range 1..65535"}},
    {"a port without a name",
     plain("[a.com]", "{number: 80, protocol: HTTP}"),
     {"5: spec.servers[0].port.name: port name must be set"}},
    {"two ports of one name",
     gateway("{servers: [{hosts: [a.com], port: " + http + "}, {hosts: [b.com], port: " + http +
             "}]}"),
     {"5: spec.servers[1].port.name: port names in servers must be unique: duplicate name http"}},
    {"an unknown protocol",
     plain("[a.com]", "{number: 80, name: web, protocol: kafka}"),
     {"5: spec.servers[0].port.protocol: invalid protocol \"kafka\", supported protocols are HTTP, "
      "HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, TCP"}},
    {"a targetPort",
     plain("[a.com]", "{number: 80, name: web, protocol: HTTP, targetPort: 8080}"),
     {"5: spec.servers[0].port.targetPort: targetPort has no impact on Gateways"}},
    {"a short name",
     plain("[foo]", http),
     {"5: spec.servers[0].hosts: short names (non FQDN) are not allowed"}},
    {"a wildcard in the middle",
     plain("[foo.*.bar.com]", http),
     {"5: spec.servers[0].hosts: domain name \"foo.*.bar.com\" invalid (label \"*\" invalid)"}},
    {"half a label",
     plain("['*bar.com']", http),
     {"5: spec.servers[0].hosts: partial wildcard \"*bar.com\" not allowed"}},
    {"a namespace that is none",
     plain("[~/foo.com]", http),
     {"5: spec.servers[0].hosts: invalid namespace value \"~\" in gateway"}},
    {"an empty namespace",
     plain("[/foo.com]", http),
     {"5: spec.servers[0].hosts: config namespace and dnsName in host entry cannot be empty"}},
    {"an address that is none",
     plain("[a.com]", http, ", bind: foo.bar"),
     {"5: spec.servers[0].bind: foo.bar is not a valid IP"}},
    {"a unix socket with a port",
     plain("[a.com]", http, ", bind: 'unix://@x'"),
     {"5: spec.servers[0].port.number: port number must be 0 for unix domain socket"}},
    {"a unix socket without a root",
     plain("[a.com]", "{number: 0, name: web, protocol: HTTP}", ", bind: 'unix://x'"),
     {"5: spec.servers[0].bind: x is not an absolute path to a file"}},
    {"HTTPS without tls",
     plain("[a.com]", "{number: 443, name: web, protocol: HTTPS}"),
     {"5: spec.servers[0].tls: server must have TLS settings for HTTPS/TLS protocols"}},
    {"HTTP with a certificate",
     server("{mode: SIMPLE, " + files + "}", "HTTP"),
     {"5: spec.servers[0].tls: server cannot have TLS settings for plain text HTTP ports"}},
    {"TCP with tls",
     server("{mode: SIMPLE, credentialName: c}", "TCP"),
     {"5: spec.servers[0].tls: server cannot have TLS settings for non HTTPS/TLS ports"}},
    {"a misspelt selector",
     gateway("{selectr: {}, servers: [{hosts: [a.com], port: " + http + "}]}"),
     {"5: spec.selectr: unknown field; did you mean \"selector\"?"}},
    {"a misspelt redirect",
     plain("[a.com]", http, ", tls: {httpRedirect: true}"),
     {"5: spec.servers[0].tls.httpRedirect: unknown field; did you mean \"httpsRedirect\"?"}},
    {"two sources", server("{mode: SIMPLE, credentialName: c, " + files + "}"), {one_source}},
    {"two kinds of secrets",
     server("{mode: SIMPLE, credentialName: c, credentialNames: [d]}"),
     {one_source}},
    {"three secrets",
     server("{mode: SIMPLE, credentialNames: [a, b, c]}"),
     {"5: spec.servers[0].tls.credentialNames: must have 1 or 2 items"}},
    {"SIMPLE without a certificate",
     server("{mode: SIMPLE, privateKey: /k}"),
     {"5: spec.servers[0].tls.serverCertificate: SIMPLE TLS requires a server certificate"}},
    {"MUTUAL with nothing", server("{mode: MUTUAL}"), {no_ca, no_certificate, no_key}},
    {"OPTIONAL_MUTUAL with nothing",
     server("{mode: OPTIONAL_MUTUAL}"),
     {no_ca, no_certificate, no_key}},
    {"one of two without a key",
     server("{mode: SIMPLE, tlsCertificates: [{serverCertificate: /1}, {serverCertificate: /2, "
            "privateKey: /3}]}"),
     {"5: spec.servers[0].tls.tlsCertificates[0].privateKey: SIMPLE TLS requires a private key"}},
    {"a CRL with a secret",
     server("{mode: PASSTHROUGH, credentialName: c, caCrl: /crl}"),
     {"5: spec.servers[0].tls.mode: PASSTHROUGH mode does not use certificates, they will be "
      "ignored",
      "5: spec.servers[0].tls.caCrl: CRL is not supported with credentialName. CRL has to be "
      "specified in the credential"}},
    {"a CRL with SIMPLE",
     server("{mode: SIMPLE, " + files + ", caCrl: /crl}"),
     {"5: spec.servers[0].tls.caCrl: CRL is not supported with SIMPLE TLS"}},
    {"ISTIO_MUTUAL with certificates",
     server("{mode: ISTIO_MUTUAL, " + files + ", caCertificates: /ca, credentialName: c}"),
     {"5: spec.servers[0].tls.serverCertificate: ISTIO_MUTUAL TLS cannot have associated server "
      "certificate",
      "5: spec.servers[0].tls.privateKey: ISTIO_MUTUAL TLS cannot have associated private key",
      "5: spec.servers[0].tls.caCertificates: ISTIO_MUTUAL TLS cannot have associated CA bundle",
      "5: spec.servers[0].tls.credentialName: ISTIO_MUTUAL TLS cannot have associated "
      "credentialName"}},
    {"a mode that does not exist",
     server("{mode: SIMPEL, credentialName: c}"),
     {"5: spec.servers[0].tls.mode: unsupported value \"SIMPEL\", supported: PASSTHROUGH, SIMPLE, "
      "MUTUAL, AUTO_PASSTHROUGH, ISTIO_MUTUAL, OPTIONAL_MUTUAL"}},
    {"a hash that is none",
     server("{mode: MUTUAL, credentialName: c, verifyCertificateSpki: [abc], "
            "verifyCertificateHash: [xyz]}"),
     {"5: spec.servers[0].tls.verifyCertificateSpki: \"abc\" is no SHA-256 in base64",
      "5: spec.servers[0].tls.verifyCertificateHash: \"xyz\" is no SHA-256 in hex"}},
};
class GatewayVerdict : public testing::TestWithParam<Case> {};
TEST_P(GatewayVerdict, RefusesWithTheReason) {
  EXPECT_EQ(complaints(GetParam().text), GetParam().complaints);
  EXPECT_EQ(decode(GetParam().text, "f.yaml").refused.size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(Spec, GatewayVerdict, testing::ValuesIn(refused));

const Case accepted[] = {
    {"an address for a host", plain("[1.1.1.1]", http), {}},
    {"a socket",
     plain("[a.com]", "{number: 0, name: web, protocol: HTTP}", ", bind: 'unix://@x'"),
     {}},
    {"a redirect", plain("[a.com]", http, ", tls: {httpsRedirect: true}"), {}},
    {"a secret needs no files", server("{mode: MUTUAL, credentialName: c}"), {}},
    {"a secret and half of the files",
     server("{mode: SIMPLE, privateKey: /k, credentialName: c}"),
     {}},
    {"ISTIO_MUTUAL", server("{mode: ISTIO_MUTUAL}", "TLS"), {}},
    {"an operator in the suites",
     server("{mode: SIMPLE, credentialName: c, cipherSuites: [ALL, '!AES128-SHA']}"),
     {}},
    {"a redirect of HTTPS",
     server("{mode: SIMPLE, credentialName: c, httpsRedirect: true}"),
     {"5: spec.servers[0].tls.httpsRedirect: tls.httpsRedirect should only be used with http "
      "servers"}},
    {"PASSTHROUGH with a secret",
     server("{mode: PASSTHROUGH, credentialName: c}", "TLS"),
     {"5: spec.servers[0].tls.mode: PASSTHROUGH mode does not use certificates, they will be "
      "ignored"}},
    {"three certificates",
     server("{mode: SIMPLE, tlsCertificates: [{serverCertificate: /1, privateKey: /2}, "
            "{serverCertificate: /1, privateKey: /2}, {serverCertificate: /1, privateKey: /2}]}"),
     {"5: spec.servers[0].tls.tlsCertificates: SIMPLE TLS can support up to 2 server "
      "certificates"}},
    {"suites of no name",
     server("{mode: SIMPLE, credentialName: c, cipherSuites: [b, AES128-SHA, a, AES128-SHA]}"),
     {"5: spec.servers[0].tls.cipherSuites: ignoring invalid cipher suites: [a b]",
      "5: spec.servers[0].tls.cipherSuites: ignoring duplicate cipher suites: [AES128-SHA]"}},
    {"TLS 1.0 without suites",
     server("{mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0}"),
     {"5: spec.servers[0].tls.minProtocolVersion: TLS version below TLSV1_2 require setting "
      "compatible "
      "ciphers as by default they no longer include compatible ciphers."}},
};
class GatewayAccepted : public testing::TestWithParam<Case> {};
TEST_P(GatewayAccepted, WithAtMostAWarning) {
  EXPECT_EQ(complaints(GetParam().text), GetParam().complaints);
  EXPECT_EQ(decode(GetParam().text, "f.yaml").refused.size(), 0u);
}
INSTANTIATE_TEST_SUITE_P(Spec, GatewayAccepted, testing::ValuesIn(accepted));

}  // namespace
}  // namespace sallyport::istio
