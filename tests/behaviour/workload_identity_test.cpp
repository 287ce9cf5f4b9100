// Workload identity from end to end: a `sallyport ca` pod, pods that prove themselves with their
// service accounts' tokens, certificates of a few seconds that rotate, and a CA that goes away.
#include <regex>

#include "tests/behaviour/scenario.h"
#include "tests/support/test_certs.h"

namespace sallyport::behaviour {
namespace {

std::string data(const std::string& kind, const std::string& namespace_name,
                 const std::string& name,
                 const std::vector<std::pair<std::string, std::string>>& values) {
  std::string out = "---\napiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name +
                    ", namespace: " + namespace_name + "}\n" +
                    (kind == "Secret" ? "stringData:\n" : "data:\n");
  for (const auto& [key, value] : values) out += "  " + key + ": |\n" + indented(value);
  return out;
}

const std::string ca_pod = R"(---
apiVersion: v1
kind: Pod
metadata:
  name: istiod
  namespace: istio-system
  labels: {app: istiod, sidecar.istio.io/inject: "false"}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: ca
    image: sallyport
    args: [ca, --ca-dir, /etc/cacerts, --jwt-keys, /etc/keys/jwks.json]
    ports: [{containerPort: 15012}]
    volumeMounts:
    - {name: cacerts, mountPath: /etc/cacerts}
    - {name: keys, mountPath: /etc/keys}
  volumes:
  - {name: cacerts, secret: {secretName: cacerts}}
  - {name: keys, configMap: {name: sandbox-jwks}}
)";

const std::string ca_service = R"(---
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system}
spec:
  selector: {app: istiod}
  ports: [{name: tcp-ca, port: 15012}]
)";

std::string client(const std::string& name, const std::string& ttl) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name +
         "\n  labels: {app: " + name +
         "}\n  annotations:\n    proxy.istio.io/config: |\n      proxyMetadata:\n"
         "        CA_ADDR: istiod.istio-system.svc:15012\n        SECRET_TTL: " +
         ttl + "\nspec:\n  terminationGracePeriodSeconds: 0\n  serviceAccountName: " + name +
         "\n  containers:\n  - {name: app, image: curlimages/curl, command: [/bin/sleep, "
         "infinity]}\n";
}

// What M6 asks for: a server in pod `b`, and requests to it for so many seconds.
const std::string web_service = R"(---
apiVersion: v1
kind: Service
metadata: {name: b}
spec:
  selector: {app: b}
  ports: [{name: http, port: 80, targetPort: 8080}]
)";
const char* const web_server = R"(
import http.server, socketserver
class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *words): pass
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128
Server(("0.0.0.0", 8080), Web).serve_forever()
)";
// Half of the requests come on kept connections, half on new ones.
const char* const load = R"(
import http.client, sys, threading, time
end, lock, counts, failures = time.time() + float(sys.argv[1]), threading.Lock(), [0], []
def ask(kept):
    connection = None
    while time.time() < end:
        try:
            connection = connection or http.client.HTTPConnection("b", timeout=20)
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200: raise Exception("%d %s" % (answer.status, body))
        except Exception as failure:
            failures.append("%.1f s before the end: %s" % (end - time.time(), failure))
            connection = None
        with lock: counts[0] += 1
        if connection and not kept:
            connection.close()
            connection = None
        time.sleep(0.02)
threads = [threading.Thread(target=ask, args=(n % 2 == 0,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print("%d requests, %d failed" % (counts[0], len(failures)), *failures[:5], sep="\n")
)";
// Two minutes see the certificates of 60 seconds change three or four times on both sides; in
// release builds SALLYPORT_M6_SECONDS=300.
std::string m6_seconds() {
  const char* const seconds = std::getenv("SALLYPORT_M6_SECONDS");
  return seconds ? seconds : "120";
}

class WorkloadIdentity : public Scenario {
protected:
  void up_with(const std::string& ttl) {
    const auto root = test::Authority::root("Mesh Root");
    const auto ca = root.intermediate("Mesh CA");
    sandbox::Files manifests;
    manifests["ca.yaml"] = ca_pod;
    manifests["others.yaml"] =
        ca_service +
        data("Secret", "istio-system", "cacerts",
             {{"ca-cert.pem", ca.pem()},
              {"ca-key.pem", ca.key_pem()},
              {"cert-chain.pem", ca.pem() + root.pem()},
              {"root-cert.pem", root.pem()}}) +
        data("ConfigMap", "default", "istio-ca-root-cert", {{"root-cert.pem", root.pem()}}) +
        client("a", ttl) + client("b", ttl) + web_service;
    sandbox::Options options;
    static int number = 0;
    options.name = "test-identity-" + std::to_string(getpid()) + "-" + std::to_string(++number);
    auto started = sandbox::Sandbox::up(manifests, options);
    ASSERT_TRUE(started) << started.error().context;
    sandbox_.emplace(std::move(*started));
  }
  std::string secrets(const std::string& pod) {
    return in_sidecar(pod, "sallyport proxy-config secret").out;
  }
  std::string serial(const std::string& pod) {
    const std::string table = secrets(pod);
    std::smatch row;
    if (std::regex_search(table, row, std::regex(R"(default +Cert Chain +ACTIVE +true +(\w+))")))
      return row[1];
    ADD_FAILURE() << table;
    return "";
  }
};

TEST_F(WorkloadIdentity, PodsGetCertificatesOfTheirOwnAndRotateThem) {
  ASSERT_NO_FATAL_FAILURE(up_with("8s"));
  const std::string table = secrets("a");
  EXPECT_TRUE(std::regex_search(table, std::regex("ROOTCA +CA +ACTIVE +true"))) << table;
  for (const std::string pod : {"a", "b"}) {
    EXPECT_TRUE(
        logged("istio-system/istiod", "ca", "issued spiffe://cluster.local/ns/default/sa/" + pod));
    const std::string first = serial(pod);
    EXPECT_TRUE(soon([&] { return serial(pod) != first; })) << logs(pod, "istio-proxy");
    EXPECT_TRUE(has(logs(pod, "istio-proxy"),
                    "workload certificate spiffe://cluster.local/ns/default/sa/" + pod));
    EXPECT_FALSE(has(logs(pod, "istio-proxy"), "no workload certificate"))
        << logs(pod, "istio-proxy");
  }
  const auto metrics = curl("a", {"http://127.0.0.1:15000/stats/prometheus"}).out;
  EXPECT_TRUE(has(metrics, "istio_agent_cert_expiry_seconds{resource_name=\"default\"")) << metrics;
}

TEST_F(WorkloadIdentity, M6_CertificatesOf60SecondsRotateUnderLoadAndNoRequestFails) {
  ASSERT_NO_FATAL_FAILURE(up_with("60s"));
  exec("b", {"sh", "-c", "python3 -c \"$0\" >/dev/null 2>&1 &", web_server});
  ASSERT_TRUE(soon([&] { return has(curl("a", {"http://b/"}).out, "ok"); }));
  const std::string first_of_a = serial("a"), first_of_b = serial("b");
  const auto result = exec("a", {"python3", "-c", load, m6_seconds()});
  EXPECT_TRUE(has(result.out, " requests, 0 failed\n")) << result.out << result.err;
  EXPECT_NE(serial("a"), first_of_a);
  EXPECT_NE(serial("b"), first_of_b);
  EXPECT_GE(count(logs("b", "istio-proxy"), "workload certificate spiffe://"), 3);
  RecordProperty("load", result.out);
  std::cout << result.out;
}

TEST_F(WorkloadIdentity, OpensslVerifiesTheChain) {
  ASSERT_NO_FATAL_FAILURE(up_with("1h"));
  const auto verified =
      exec("a", {"sh", "-c",
                 "cd /tmp && curl -sS http://127.0.0.1:15000/config_dump > dump && python3 -c '"
                 "import json,base64\n"
                 "for c in json.load(open(\"dump\"))[\"configs\"]:\n"
                 "  for s in c.get(\"dynamic_active_secrets\", []):\n"
                 "    t=s[\"secret\"]\n"
                 "    if s[\"name\"]==\"default\": open(\"chain\",\"wb\").write(base64.b64decode("
                 "t[\"tls_certificate\"][\"certificate_chain\"][\"inline_bytes\"]))\n"
                 "    if s[\"name\"]==\"ROOTCA\": open(\"root\",\"wb\").write(base64.b64decode("
                 "t[\"validation_context\"][\"trusted_ca\"][\"inline_bytes\"]))\n"
                 "' && openssl verify -purpose sslserver -CAfile root -untrusted chain chain && "
                 "openssl verify -purpose sslclient -CAfile root -untrusted chain chain"});
  EXPECT_EQ(verified.out, "chain: OK\nchain: OK\n") << verified.err;
}

TEST_F(WorkloadIdentity, OutlivesItsCaAndFindsItAgain) {
  ASSERT_NO_FATAL_FAILURE(up_with("12s"));
  ASSERT_TRUE(sandbox_->remove("ca.yaml"));
  const std::string last = serial("a");
  EXPECT_TRUE(logged("a", "istio-proxy", "stays in use until"));
  EXPECT_TRUE(soon([&] { return has(secrets("a"), "expired at"); })) << secrets("a");
  apply("ca.yaml", ca_pod);
  EXPECT_TRUE(soon([&] {
    const std::string table = secrets("a");
    return !has(table, "expired at") && !has(table, last);
  })) << secrets("a");
}

class MeshSample : public Scenario {};

TEST_F(MeshSample, IsWhatItsReadmeSays) {
  up("mesh");
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] { result = curl("sleep", {"http://web"}); });
  EXPECT_TRUE(has(result.out, "hello from web")) << result.out << result.err;
  EXPECT_TRUE(has(result.out, "URI=spiffe://cluster.local/ns/default/sa/sleep\n")) << result.out;
  EXPECT_FALSE(has(wire, "hello from web")) << "encrypted on the wire";
  EXPECT_EQ(curl("sleep", {"-X", "POST", "http://web"}).out, "RBAC: access denied");
  EXPECT_TRUE(has(curl("legacy", {"http://web"}).err, "reset")) << "STRICT";
  EXPECT_TRUE(has(in_sidecar("sleep", "sallyport proxy-config secret").out, "ROOTCA"));
}

}  // namespace
}  // namespace sallyport::behaviour
