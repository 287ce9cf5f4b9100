// Servers that want to know whose connection they have: proxyProtocol of a DestinationRule, from a
// gateway and from a sidecar, in plaintext and outside of TLS.
#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string plain = "webapp.istioinaction.io", secure = "secure.istioinaction.io";

// nginx says what the header named, and which of its connections it was.
const std::string backend = R"(apiVersion: v1
kind: ConfigMap
metadata: {name: webapp}
data:
  nginx.conf: |
    daemon off;
    error_log /dev/stderr;
    pid /tmp/nginx.pid;
    events {}
    http {
      access_log /dev/stdout;
      server {
        listen 8080 proxy_protocol;
        listen [::]:8080 proxy_protocol;
        listen 8443 ssl proxy_protocol;
        listen [::]:8443 ssl proxy_protocol;
        ssl_certificate /etc/certs/tls.crt;
        ssl_certificate_key /etc/certs/tls.key;
        set $client $proxy_protocol_addr:$proxy_protocol_port;
        set $dialled $proxy_protocol_server_addr:$proxy_protocol_server_port;
        location / {
          return 200 "client=$client dialled=$dialled over=$https connection=$connection\n";
        }
      }
    }
---
apiVersion: v1
kind: Service
metadata: {name: webapp}
spec:
  selector: {app: webapp}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: secure}
spec:
  selector: {app: webapp}
  ports: [{name: http, port: 80, targetPort: 8443}]
---
apiVersion: v1
kind: Pod
metadata:
  name: webapp
  labels: {app: webapp, sidecar.istio.io/inject: "false"}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: webapp
    image: nginx
    command: [nginx, -c, /etc/webapp/nginx.conf]
    volumeMounts:
    - {name: config, mountPath: /etc/webapp}
    - {name: certs, mountPath: /etc/certs}
  volumes:
  - {name: config, configMap: {name: webapp}}
  - {name: certs, secret: {secretName: webapp-certs}}
)";

const std::string rules = R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plain}
spec: {host: webapp, trafficPolicy: {proxyProtocol: {version: V1}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: secure}
spec:
  host: secure
  trafficPolicy:
    tls: {mode: SIMPLE, insecureSkipVerify: true}
    proxyProtocol: {version: V2}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [secure.istioinaction.io]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secure}
spec:
  hosts: [secure.istioinaction.io]
  gateways: [secure]
  http: [{route: [{destination: {host: secure}}]}]
)";

// curl's own side of its connection behind each answer.
const std::vector<std::string> own_address = {
    "-w", "curl=%{local_ip}:%{local_port} server=%{remote_ip}:%{remote_port}\n"};

std::string word_after(const std::string& text, const std::string& name, std::size_t from = 0) {
  const auto at = text.find(name + "=", from);
  if (at == text.npos) return "no " + name;
  const auto begin = at + name.size() + 1;
  return text.substr(begin, text.find_first_of(" \n", begin) - begin);
}

class ProxyProtocol : public GatewayScenario {
protected:
  void SetUp() override {
    const auto issued = ca_.issue({.common_name = "webapp", .dns = {"webapp"}});
    up("ingress-http", {{"webapp.yaml", backend},
                        {"told.yaml", rules},
                        {"sleep.yaml", text_of_file("deploy/samples/egress-mtls/sleep.yaml")},
                        {"certificates.yaml",
                         object("Secret", "default", "webapp-certs",
                                {{"tls.crt", issued.chain_pem}, {"tls.key", issued.key_pem}})}});
  }

  const test::Authority ca_ = test::Authority::root("webapp-ca");
};

TEST_F(ProxyProtocol, TheServerBehindAGatewayIsToldOfTheClient) {
  for (const auto& host : {plain, secure}) {
    auto words = own_address;
    words.insert(words.end(), {"-H", "X-Forwarded-For: 203.0.113.7"});
    const auto answer = http(host, words);
    EXPECT_EQ(word_after(answer.out, "client"), word_after(answer.out, "curl"))
        << answer.out << answer.err;
    EXPECT_TRUE(word_after(answer.out, "dialled").ends_with(":8080")) << answer.out;
    EXPECT_EQ(word_after(answer.out, "over"), host == secure ? "on" : "") << answer.out;
  }
  EXPECT_TRUE(gateway_logged(" outbound|80||secure.default.svc.cluster.local "));
}

TEST_F(ProxyProtocol, ASidecarTellsTheServerOfTheApplicationsConnection) {
  for (const std::string host : {"webapp", "secure"}) {
    auto words = own_address;
    words.push_back("http://" + host + ".default/");
    const auto answer = curl("sleep", words);
    EXPECT_EQ(word_after(answer.out, "client"), word_after(answer.out, "curl"))
        << answer.out << answer.err;
    EXPECT_EQ(word_after(answer.out, "dialled"), word_after(answer.out, "server")) << answer.out;
    EXPECT_EQ(word_after(answer.out, "over"), host == "secure" ? "on" : "") << answer.out;
  }
}

TEST_F(ProxyProtocol, AClientKeepsItsConnectionToTheServerAndNoOtherGetsIt) {
  for (const auto& host : {plain, secure}) {
    const std::string url = "http://" + gateway() + "/";
    const auto first = http(host, {url});  // that and the same again, on one connection of curl's
    const auto behind = first.out.find('\n');
    const auto kept = word_after(first.out, "connection");
    EXPECT_EQ(word_after(first.out, "connection", behind), kept) << first.out << first.err;
    const auto other = http(host, {});
    EXPECT_NE(word_after(other.out, "connection"), kept) << other.out;
    EXPECT_NE(word_after(other.out, "client"), word_after(first.out, "client")) << other.out;
  }
}

}  // namespace
}  // namespace sallyport::behaviour
