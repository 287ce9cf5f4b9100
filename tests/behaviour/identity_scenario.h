// A `sallyport ca` pod, and pods `a` and `b` that prove themselves to it with their service
// accounts' tokens, for tests of identities from end to end.
#pragma once
#include <regex>

#include "tests/behaviour/scenario.h"
#include "tests/support/test_certs.h"

namespace sallyport::behaviour {

inline std::string data(const std::string& kind, const std::string& namespace_name,
                        const std::string& name,
                        const std::vector<std::pair<std::string, std::string>>& values) {
  std::string out = "---\napiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name +
                    ", namespace: " + namespace_name + "}\n" +
                    (kind == "Secret" ? "stringData:\n" : "data:\n");
  for (const auto& [key, value] : values) out += "  " + key + ": |\n" + indented(value);
  return out;
}

inline const std::string ca_pod = R"(---
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

inline const std::string ca_service = R"(---
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system}
spec:
  selector: {app: istiod}
  ports: [{name: tcp-ca, port: 15012}]
)";

inline std::string client(const std::string& name, const std::string& ttl) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name +
         "\n  labels: {app: " + name +
         "}\n  annotations:\n    proxy.istio.io/config: |\n      proxyMetadata:\n"
         "        CA_ADDR: istiod.istio-system.svc:15012\n        SECRET_TTL: " +
         ttl + "\nspec:\n  terminationGracePeriodSeconds: 0\n  serviceAccountName: " + name +
         "\n  containers:\n  - {name: app, image: curlimages/curl, command: [/bin/sleep, "
         "infinity]}\n";
}

// A server in pod `b`, and requests to it for so many seconds, or until a file is there.
inline const std::string web_service = R"(---
apiVersion: v1
kind: Service
metadata: {name: b}
spec:
  selector: {app: b}
  ports: [{name: http, port: 80, targetPort: 8080}]
)";
inline const char* const web_server = R"(
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
inline const char* const load = R"(
import http.client, os, sys, threading, time
end, lock, counts, failures = time.time() + float(sys.argv[1]), threading.Lock(), [0], []
stop = sys.argv[2] if len(sys.argv) > 2 else "/none"
def ask(kept):
    connection = None
    while time.time() < end and not os.path.exists(stop):
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

class IdentityScenario : public Scenario {
protected:
  void up_with(const std::string& ttl) {
    sandbox::Files manifests;
    manifests["ca.yaml"] = ca_pod;
    manifests["cacerts.yaml"] = ca_files(root_, root_.pem());
    manifests["others.yaml"] = ca_service + client("a", ttl) + client("b", ttl) + web_service;
    start(manifests);
  }
  // An intermediate of `root` signs; all of `roots` is trusted, by the pods as well.
  static std::string ca_files(const test::Authority& root, const std::string& roots) {
    const auto ca = root.intermediate("Mesh CA");
    return data("Secret", "istio-system", "cacerts",
                {{"ca-cert.pem", ca.pem()},
                 {"ca-key.pem", ca.key_pem()},
                 {"cert-chain.pem", ca.pem() + root.pem()},
                 {"root-cert.pem", roots}}) +
           data("ConfigMap", "default", "istio-ca-root-cert", {{"root-cert.pem", roots}});
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

  const test::Authority root_ = test::Authority::root("Mesh Root");
};

}  // namespace sallyport::behaviour
