// Scenarios E3f and E5: certificates replaced under load, and in mounted files; CRLs of both. No
// key ever reaches a log.
#include <regex>

#include "tests/behaviour/scenario.h"
#include "tests/support/test_certs.h"

namespace sallyport::behaviour {
namespace {

const std::string host = "my-nginx.mesh-external.svc.cluster.local";
const std::string url = "http://" + host;
const std::string nginx = "mesh-external/my-nginx";
using Data = std::vector<std::pair<std::string, std::string>>;

std::string secret(const std::string& namespace_name, const std::string& name, const Data& data) {
  std::string out = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name +
                    ", namespace: " + namespace_name + "}\nstringData:\n";
  for (const auto& [key, value] : data) {
    out += "  " + key + ": |\n";
    std::istringstream lines(value);
    for (std::string line; std::getline(lines, line);) out += "    " + line + "\n";
  }
  return out;
}

// As nginx writes $ssl_client_serial.
std::string logged_serial(const test::Issued& issued) {
  char text[32];
  std::snprintf(text, sizeof text, "serial=%02lX", issued.serial);
  return text;
}

class Secrets : public Scenario {
protected:
  // The sample's certificates.yaml with this client.
  std::string certificates(const test::Issued& client, const std::string& crl = {}) const {
    Data data = {{"tls.crt", client.chain_pem}, {"tls.key", client.key_pem}, {"ca.crt", ca_.pem()}};
    if (!crl.empty()) data.emplace_back("ca.crl", crl);
    return secret("mesh-external", "nginx-server-certs",
                  {{"tls.crt", server_.chain_pem}, {"tls.key", server_.key_pem}}) +
           secret("mesh-external", "nginx-ca-certs", {{"example.com.crt", ca_.pem()}}) +
           secret("default", "client-credential", data);
  }

  ::testing::AssertionResult answers(const std::string& code) {
    std::string last;
    const bool seen = soon([&] {
      last = curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", url}).out;
      return last == code;
    });
    if (seen) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << last << "\n" << logs("sleep", "istio-proxy");
  }

  // Asks until nginx has seen the certificate.
  ::testing::AssertionResult nginx_sees(const test::Issued& client) {
    const bool seen = soon([&] {
      curl("sleep", {"-o", "/dev/null", url});
      return has(logs(nginx, "my-nginx"), logged_serial(client));
    });
    if (seen) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << logs(nginx, "my-nginx") << logs("sleep", "istio-proxy");
  }

  void expect_no_key_logged() {
    const auto log = logs("sleep", "istio-proxy");
    for (const auto& issued : {old_, new_}) {
      std::istringstream lines(issued.key_pem);
      for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("-")) continue;
        EXPECT_FALSE(has(log, line)) << "a line of a private key";
      }
    }
  }

  std::string proxy_config_secret() {
    sandbox::ExecOptions options;
    options.container = "istio-proxy";
    auto result = sandbox_->exec("sleep", {"sallyport", "proxy-config", "secret"}, options);
    return result ? result->out : result.error().context;
  }

  const test::Authority ca_ = test::Authority::root("example.com");
  const test::Issued server_ = ca_.issue({.common_name = host, .dns = {host}});
  const test::Issued old_ = ca_.issue({.common_name = "client.example.com"});
  const test::Issued new_ = ca_.issue({.common_name = "client.example.com"});
};

// Four clients with a kept connection each: 500 requests a second together, as far as the machine
// can.
const std::string load = R"(
for i in 1 2 3 4; do
  curl -sS -m 20 --rate 125/s -o /dev/null -w '%{http_code}\n' ')" +
                         url + R"(/?[1-1000]' > /tmp/codes.$i 2>&1 &
done
wait
touch /tmp/load-is-over
)";

TEST_F(Secrets, E3f_ANewCertificateGoesLiveUnderLoadAndNoRequestFails) {
  up("egress-mtls", {{"certificates.yaml", certificates(old_)}});
  ASSERT_TRUE(nginx_sees(old_));
  exec("sleep", {"sh", "-c", "sh -c \"$0\" > /dev/null 2>&1 &", load});
  ASSERT_TRUE(soon([&] { return count(logs(nginx, "my-nginx"), "\n") > 600; }));
  apply("certificates.yaml", certificates(new_));
  ASSERT_TRUE(soon([&] { return exec("sleep", {"ls", "/tmp/load-is-over"}).code == 0; }));

  const auto codes = exec("sleep", {"sh", "-c", "cat /tmp/codes.*"}).out;
  EXPECT_EQ(count(codes, "200\n"), 4000);
  EXPECT_EQ(codes.size(), 4000u * 4) << "nothing else was said";
  const auto log = logs(nginx, "my-nginx");
  EXPECT_GT(count(log, logged_serial(old_)), 500);
  EXPECT_GT(count(log, logged_serial(new_)), 500) << "live while the load went on";
  EXPECT_EQ(count(logs("sleep", "istio-proxy"), "\tready: "), 1) << "no restart";
  expect_no_key_logged();
}

TEST_F(Secrets, ABadReplacementLeavesTheOldOneInUseAndSaysWhy) {
  up("egress-mtls", {{"certificates.yaml", certificates(old_)}});
  ASSERT_TRUE(nginx_sees(old_));
  test::Issued mixed = new_;
  mixed.key_pem = old_.key_pem;
  apply("certificates.yaml", certificates(mixed));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "private key: does not match the certificate"));
  EXPECT_TRUE(answers("200"));
  EXPECT_FALSE(has(logs(nginx, "my-nginx"), logged_serial(new_)));
  const auto shown = proxy_config_secret();
  EXPECT_TRUE(std::regex_search(
      shown, std::regex("\nkubernetes://client-credential +Cert Chain +ACTIVE +true ")))
      << shown;
  EXPECT_TRUE(has(shown, "a newer version was not taken: ")) << shown;
  apply("certificates.yaml", certificates(new_));
  EXPECT_TRUE(nginx_sees(new_));
  EXPECT_FALSE(has(proxy_config_secret(), "not taken"));
  expect_no_key_logged();
}

TEST_F(Secrets, ACrlInTheSecretRevokesTheServerThoughAConnectionIsPooled) {
  up("egress-mtls", {{"certificates.yaml", certificates(old_, ca_.crl({}))}});
  ASSERT_TRUE(answers("200"));
  apply("certificates.yaml", certificates(old_, ca_.crl({server_.serial})));
  EXPECT_TRUE(answers("503"));
  const auto body = curl("sleep", {url}).out;
  EXPECT_TRUE(has(body, "certificate revoked: serial ")) << body;
  EXPECT_TRUE(has(body, "kubernetes://client-credential-cacert")) << body;
  apply("certificates.yaml", certificates(old_, ca_.crl({}, -60)));
  EXPECT_TRUE(soon([&] { return has(curl("sleep", {url}).out, "CRL has expired"); }))
      << curl("sleep", {url}).out;
  apply("certificates.yaml", certificates(old_));
  EXPECT_TRUE(answers("200"));
}

// The sample's client, with the Secret as files in the sidecar.
const char* const client_with_files = R"(
apiVersion: v1
kind: ServiceAccount
metadata: {name: sleep}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleep}
spec:
  selector: {matchLabels: {app: sleep}}
  template:
    metadata:
      labels: {app: sleep}
      annotations:
        sidecar.istio.io/userVolume: '{"client": {"secret": {"secretName": "client-credential"}}}'
        sidecar.istio.io/userVolumeMount: '{"client": {"mountPath": "/etc/client"}}'
    spec:
      terminationGracePeriodSeconds: 0
      serviceAccountName: sleep
      containers:
      - {name: sleep, image: curlimages/curl, command: [/bin/sleep, infinity]}
)";

std::string rule_with_files(const std::string& more = {}) {
  return R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nginx}
spec:
  hosts: [my-nginx.mesh-external.svc.cluster.local]
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: nginx}
spec:
  host: my-nginx.mesh-external.svc.cluster.local
  trafficPolicy:
    tls:
      mode: MUTUAL
      clientCertificate: /etc/client/tls.crt
      privateKey: /etc/client/tls.key
      caCertificates: /etc/client/ca.crt
)" + more;
}

TEST_F(Secrets, E5_FilesAreFollowedWithoutARestart) {
  up("egress-mtls", {{"certificates.yaml", certificates(old_)},
                     {"sleep.yaml", client_with_files},
                     {"originate-mtls.yaml", rule_with_files()}});
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] { result = curl("sleep", {url}); });
  EXPECT_TRUE(has(result.out, "Welcome to nginx!")) << result.out << result.err;
  EXPECT_TRUE(has(wire, host)) << "the SNI of a ClientHello";
  EXPECT_FALSE(has(wire, "Welcome to nginx")) << "encrypted on the wire";
  EXPECT_TRUE(nginx_sees(old_));
  const auto shown = proxy_config_secret();
  EXPECT_TRUE(std::regex_search(
      shown,
      std::regex("\nfile-cert:/etc/client/tls.crt~/etc/client/tls.key +Cert Chain +ACTIVE +true ")))
      << shown;
  EXPECT_TRUE(
      std::regex_search(shown, std::regex("\nfile-root:/etc/client/ca.crt +CA +ACTIVE +true ")))
      << shown;
  const auto stats = curl("sleep", {"http://127.0.0.1:15000/stats/prometheus"}).out;
  for (const std::string resource :
       {"file-cert:/etc/client/tls.crt~/etc/client/tls.key", "file-root:/etc/client/ca.crt"}) {
    EXPECT_TRUE(std::regex_search(
        stats, std::regex("\nistio_agent_cert_expiry_seconds\\{resource_name=\"" + resource +
                          R"(",serial_number="[0-9a-f]+",subject="CN=[a-z.]+"\} [0-9]+\n)")))
        << stats;
  }

  apply("certificates.yaml", certificates(new_));
  EXPECT_TRUE(nginx_sees(new_));
  EXPECT_EQ(count(logs("sleep", "istio-proxy"), "\tready: "), 1) << "no restart";
  expect_no_key_logged();
}

TEST_F(Secrets, ACaCrlFileIsFollowedAndAChangeEndsPooledConnections) {
  up("egress-mtls",
     {{"certificates.yaml", certificates(old_, ca_.crl({}))},
      {"sleep.yaml", client_with_files},
      {"originate-mtls.yaml", rule_with_files("      caCrl: /etc/client/ca.crl\n")}});
  ASSERT_TRUE(answers("200"));
  apply("certificates.yaml", certificates(old_, ca_.crl({server_.serial})));
  EXPECT_TRUE(answers("503"));
  const auto body = curl("sleep", {url}).out;
  EXPECT_TRUE(has(body, "certificate revoked: serial ")) << body;
  EXPECT_TRUE(has(body, "file-root:/etc/client/ca.crt~/etc/client/ca.crl")) << body;
  const auto stranger = test::Authority::root("stranger");
  apply("certificates.yaml", certificates(old_, stranger.crl({})));
  EXPECT_TRUE(soon([&] { return has(curl("sleep", {url}).out, "no CRL of its issuer"); }))
      << curl("sleep", {url}).out;
}

}  // namespace
}  // namespace sallyport::behaviour
