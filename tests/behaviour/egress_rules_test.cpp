// Scenarios E4, E7, E8 and E10, and what VirtualServices make of a sidecar's requests.
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string host = "my-nginx.mesh-external.svc.cluster.local";
const std::string url = "http://" + host;

class EgressRules : public Scenario {
protected:
  // The code that a request ends in, once it is the expected one.
  ::testing::AssertionResult answers(const std::string& code, const std::string& path = "/",
                                     const std::string& name = url) {
    std::string last;
    const bool seen = soon([&] {
      last = curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", name + path}).out;
      return last == code;
    });
    if (seen) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << last << "\n" << logs("sleep", "istio-proxy");
  }
};

std::string mutual_rule(const std::string& names) {
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
  workloadSelector: {matchLabels: {app: sleep}}
  host: my-nginx.mesh-external.svc.cluster.local
  trafficPolicy:
    tls:
      mode: MUTUAL
      credentialName: client-credential
      sni: my-nginx.mesh-external.svc.cluster.local
      subjectAltNames: [)" +
         names + "]\n";
}

TEST_F(EgressRules, E4_SubjectAltNamesAreVerified) {
  up("egress-mtls", {{"originate-mtls.yaml", mutual_rule(host)}});
  EXPECT_TRUE(answers("200"));
  apply("originate-mtls.yaml", mutual_rule("other.example.org"));
  EXPECT_TRUE(answers("503"));
  const auto body = curl("sleep", {url}).out;
  EXPECT_TRUE(has(body, "other.example.org")) << body;
  EXPECT_TRUE(logged("sleep", "istio-proxy", "503 URX,UF upstream_reset_before_response_started"));
}

const char* const wildcard = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wildcard}
spec:
  hosts: ["*.example.org"]
  ports:
  - {number: 443, name: tls, protocol: TLS}
  resolution: NONE
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    accessLogFile: /dev/stdout
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
)";
const char* const wildcard_site = R"(
apiVersion: v1
kind: Pod
metadata:
  name: wild
  namespace: outside
  annotations: {sandbox.sallyport.io/hosts: "a.example.org,b.example.org"}
spec:
  containers:
  - name: nginx
    image: nginx
    ports: [{containerPort: 443}]
    volumeMounts:
    - {name: config, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}
    - {name: certs, mountPath: /etc/certs}
  volumes:
  - {name: config, configMap: {name: web-site}}
  - {name: certs, secret: {secretName: edition-certs}}
)";

TEST_F(EgressRules, E7_AWildcardHostPassesBySniAndNothingElseDoes) {
  up("egress-plain", {{"mesh.yaml", wildcard}, {"wild.yaml", wildcard_site}});
  for (const std::string name : {"a.example.org", "b.example.org"}) {
    const auto result = curl("sleep", {"-k", "https://" + name + "/x"});
    EXPECT_TRUE(has(result.out, name + "/x")) << result.out << result.err;
  }
  const auto outside = curl("sleep", {"-k", "https://unlisted.example.net/x"});
  EXPECT_NE(outside.code, 0) << outside.out;
  EXPECT_TRUE(logged("sleep", "istio-proxy", "BlackHoleCluster"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "outbound|443||*.example.org"));
}

std::string two_endpoints(const std::string& good) {
  return R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two}
spec:
  hosts: [two.example.org]
  ports:
  - {number: 80, name: http, protocol: HTTP}
  resolution: STATIC
  endpoints:
  - {address: 198.18.255.254, ports: {http: 9}}
  - {address: )" +
         good + "}\n";
}

// 198.18.255.254 is nobody's: the connect fails at once or after its time; the other endpoint
// answers.
TEST_F(EgressRules, E8_AnEndpointThatIsDownIsNotSeenByTheApp) {
  up("egress-plain");
  const auto found = exec("sleep", {"getent", "ahostsv4", "edition.cnn.com"}).out;
  const auto good = found.substr(0, found.find(' '));
  std::string entry = two_endpoints(good);
  // A port of the living one that nobody listens on: refused at once, as by a server that is down.
  entry.replace(entry.find("198.18.255.254"), 14, good);
  apply("two.yaml", entry);
  EXPECT_TRUE(soon([&] {
    return has(curl("sleep", {"http://127.0.0.1:15000/clusters"}).out, "two.example.org");
  }));
  for (int i = 0; i < 20; i++) {
    const auto code = curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", "-H",
                                     "Host: two.example.org", "http://" + good + "/"})
                          .out;
    EXPECT_EQ(code, "301") << i << logs("sleep", "istio-proxy");
  }
}

// A server beside the client, in a volume that the sidecar has too.
const char* const socket_client = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data:
  nginx.conf: |
    events {}
    http {
      access_log off;
      error_log /var/log/nginx/error.log;
      server {
        listen unix:/sockets/page.sock;
        location / { return 200 "page of $host"; }
      }
    }
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
        sidecar.istio.io/userVolume: '{"sockets": {"emptyDir": {}}}'
        sidecar.istio.io/userVolumeMount: '{"sockets": {"mountPath": "/sockets"}}'
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: sleep
        image: curlimages/curl
        command: ["/bin/sleep", "infinity"]
      - name: page
        image: nginx
        volumeMounts:
        - {name: config, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}
        - {name: sockets, mountPath: /sockets}
      volumes:
      - {name: config, configMap: {name: page}}
)";
std::string socket_entry(const std::string& path) {
  return R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: page}
spec:
  hosts: [page.example.org]
  ports:
  - {number: 80, name: http, protocol: HTTP}
  resolution: STATIC
  endpoints:
  - {address: "unix://)" +
         path + "\"}\n";
}

TEST_F(EgressRules, AUnixSocketIsAnEndpointLikeOthers) {
  up("egress-plain",
     {{"sleep.yaml", socket_client}, {"page.yaml", socket_entry("/sockets/page.sock")}});
  const auto get = [this] {
    return curl("sleep",
                {"--resolve", "page.example.org:80:198.18.255.254", "http://page.example.org/"})
        .out;
  };
  EXPECT_TRUE(soon([&] { return get() == "page of page.example.org"; })) << get();
  EXPECT_TRUE(
      logged("sleep", "istio-proxy", "\"/sockets/page.sock\" outbound|80||page.example.org"));
  const auto shown = in_sidecar("sleep", "sallyport proxy-config endpoint");
  EXPECT_TRUE(has(shown.out, "unix:///sockets/page.sock")) << shown.out << shown.err;
  apply("page.yaml", socket_entry("/sockets/none.sock"));
  EXPECT_TRUE(soon([&] { return has(get(), "connect /sockets/none.sock"); })) << get();
  EXPECT_TRUE(logged("sleep", "istio-proxy", "503 URX,UF upstream_reset_before_response_started"));
}

const char* const line_server = R"(
apiVersion: v1
kind: Pod
metadata:
  name: line
  namespace: mesh-external
  annotations: {sandbox.sallyport.io/hosts: line.example.org}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: line
    image: curlimages/curl
    command:
    - /usr/bin/socat
    - -t20  # the client ends its direction before the banner may be written
    - -d
    - -d  # says when it listens: on IPv4 only, though its name has addresses of both families
    - OPENSSL-LISTEN:6380,pf=ip4,fork,reuseaddr,verify=0,cert=/certs/tls.crt,key=/certs/tls.key
    - "SYSTEM:echo 220 banner; cat"
    ports: [{containerPort: 6380}]
    volumeMounts: [{name: certs, mountPath: /certs}]
  volumes:
  - {name: certs, secret: {secretName: nginx-server-certs}}
)";
const char* const line_rule = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: line}
spec:
  hosts: [line.example.org]
  ports:
  - {number: 6379, name: tcp, protocol: TCP, targetPort: 6380}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: line}
spec:
  host: line.example.org
  workloadSelector: {matchLabels: {app: sleep}}
  trafficPolicy:
    tls:
      mode: SIMPLE
      credentialName: client-credential
      subjectAltNames: [my-nginx.mesh-external.svc.cluster.local]
)";

TEST_F(EgressRules, E10_ALineProtocolLeavesAsTls) {
  up("egress-mtls", {{"line.yaml", line_server}, {"line-rule.yaml", line_rule}});
  ASSERT_TRUE(logged("mesh-external/line", "line", "listening on"));
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] {
    result = exec("sleep", {"socat", "-t20", "-", "TCP:line.example.org:6379"}, "marker-line\n");
  });
  EXPECT_TRUE(has(result.out, "220 banner"))
      << "the server speaks first: " << result.err << logs("sleep", "istio-proxy");
  EXPECT_TRUE(has(result.out, "marker-line")) << result.out;
  EXPECT_FALSE(has(wire, "marker-line")) << "encrypted on the wire";
  EXPECT_FALSE(has(wire, "220 banner")) << "encrypted on the wire";
}

// Its name has addresses of both families, and nothing listens on IPv6.
const char* const one_family_server = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: page, namespace: mesh-external}
data:
  nginx.conf: |
    events {}
    http {
      access_log off;
      error_log /var/log/nginx/error.log;
      server {
        listen 0.0.0.0:8443 ssl;
        ssl_certificate /certs/tls.crt;
        ssl_certificate_key /certs/tls.key;
        location / { return 200 "page"; }
      }
    }
---
apiVersion: v1
kind: Pod
metadata:
  name: page
  namespace: mesh-external
  annotations: {sandbox.sallyport.io/hosts: page.example.org}
spec:
  containers:
  - name: page
    image: nginx
    ports: [{containerPort: 8443}]
    volumeMounts:
    - {name: config, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}
    - {name: certs, mountPath: /certs}
  volumes:
  - {name: config, configMap: {name: page}}
  - {name: certs, secret: {secretName: nginx-server-certs}}
)";
std::string one_family_rule(const std::string& resolution,
                            const std::string& name = "page.example.org") {
  return R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: page}
spec:
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8443}
  hosts: [")" +
         name + "\"]\n  resolution: " + resolution + R"(
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: page}
spec:
  workloadSelector: {matchLabels: {app: sleep}}
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    tls:
      mode: SIMPLE
      credentialName: client-credential
      subjectAltNames: [my-nginx.mesh-external.svc.cluster.local]
  host: ")" +
         name + "\"\n";
}

TEST_F(EgressRules, AServerOnOneFamilyIsReachedThoughItsNameHasBoth) {
  up("egress-mtls", {{"page.yaml", one_family_server}, {"page-rule.yaml", one_family_rule("DNS")}});
  const auto addresses = exec("sleep", {"getent", "ahosts", "page.example.org"}).out;
  EXPECT_TRUE(has(addresses, ":") && has(addresses, "198.18.")) << addresses;
  EXPECT_TRUE(answers("200", "/", "http://page.example.org"));
  const auto failed = [this] { return count(logs("sleep", "istio-proxy"), "URX,UF"); };
  const int before = failed();  // while the server was starting
  for (const std::string resolution : {"DNS", "DNS_ROUND_ROBIN"}) {
    apply("page-rule.yaml", one_family_rule(resolution));
    for (int i = 0; i < 6; i++) {
      EXPECT_EQ(
          curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", "http://page.example.org"}).out,
          "200")
          << resolution << i << logs("sleep", "istio-proxy");
    }
  }
  EXPECT_EQ(failed(), before) << logs("sleep", "istio-proxy");
}

TEST_F(EgressRules, AHostOfAWildcardIsResolvedWhenAClientNamesIt) {
  up("egress-mtls", {{"page.yaml", one_family_server},
                     {"page-rule.yaml", one_family_rule("DYNAMIC_DNS", "*.example.org")}});
  EXPECT_TRUE(answers("200", "/", "http://page.example.org"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "outbound|80||*.example.org"));
  const auto gone =
      curl("sleep", {"--resolve", "gone.example.org:80:198.18.255.254", "http://gone.example.org"})
          .out;
  EXPECT_TRUE(has(gone, "gone.example.org")) << gone;
  EXPECT_TRUE(logged("sleep", "istio-proxy", "503 DF dns_resolution_failure"));
}

std::string virtual_service(const std::string& rules) {
  return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: nginx}\n"
         "spec:\n  hosts: [" +
         host + "]\n  http:\n" + rules;
}

TEST_F(EgressRules, AVirtualServiceRewritesAndTheRequestStillLeavesAsMutualTls) {
  up("egress-mtls",
     {{"vs.yaml", virtual_service("  - match: [{uri: {prefix: /app}}]\n    rewrite: {uri: /}\n"
                                  "    headers: {response: {set: {x-tls: "
                                  "'%UPSTREAM_TLS_VERSION%'}}}\n"
                                  "    route: [{destination: {host: " +
                                  host +
                                  "}}]\n  - match: [{uri: {exact: /health}}]\n"
                                  "    directResponse: {status: 200, body: {string: well}}\n")}});
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] { result = curl("sleep", {url + "/app"}); });
  EXPECT_TRUE(has(result.out, "Welcome to nginx!")) << result.out << result.err;
  EXPECT_FALSE(has(wire, "Welcome to nginx")) << "encrypted on the wire";
  EXPECT_TRUE(has(curl("sleep", {"-i", url + "/app"}).out, "x-tls: TLSv1.3"));
  EXPECT_EQ(curl("sleep", {url + "/health"}).out, "well");
  EXPECT_TRUE(answers("404", "/elsewhere")) << "no rule takes it";
  EXPECT_TRUE(logged("sleep", "istio-proxy", "\"GET /app HTTP/1.1\" 200 - via_upstream"));
  EXPECT_TRUE(logged("mesh-external/my-nginx", "my-nginx", "\"GET / HTTP/1.1\""));
}

TEST_F(EgressRules, AVirtualServiceChangesWhileTheSidecarRuns) {
  up("egress-mtls");
  EXPECT_TRUE(answers("200"));
  apply("vs.yaml", virtual_service("  - fault: {abort: {httpStatus: 418, percentage: {value: "
                                   "100}}}\n    route: [{destination: {host: " +
                                   host + "}}]\n"));
  EXPECT_TRUE(answers("418"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", " 418 FI fault_filter_abort "));
}

}  // namespace
}  // namespace sallyport::behaviour
