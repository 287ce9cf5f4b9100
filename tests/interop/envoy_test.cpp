// Scenario M7: a real Envoy as an Istio sidecar on the other side, HTTP/1.1 and TCP, both ways, and
// peers that it or we must not take.
#include "tests/interop/envoy.h"
#include "tests/behaviour/mesh_scenario.h"

namespace sallyport::interop {
namespace {

using behaviour::has;
using behaviour::indented;
using behaviour::secret;
using behaviour::spiffe;

const std::string envoy = "/usr/local/lib/sallyport-peers/envoy-1.40.0";
const std::string peer_host = "envoy-server.default.svc.cluster.local",
                  our_host = "server.default.svc.cluster.local";

// A pod with Envoy and, where it serves, an application behind it.
std::string pod(const std::string& name, const std::string& configuration,
                const std::string& labels = "") {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name +
         "}\ndata:\n  envoy.yaml: |\n" + indented(configuration) +
         "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name +
         "\n  labels: {app: " + name + labels +
         "}\n  annotations: {sidecar.istio.io/inject: \"false\"}\n" + R"(spec:
  serviceAccountName: )" +
         name + R"(
  terminationGracePeriodSeconds: 0
  containers:
  - name: envoy
    image: envoy
    command: [)" +
         envoy + R"(, -c, /etc/envoy/envoy.yaml, --concurrency, "1", --use-dynamic-base-id]
    volumeMounts:
    - {name: config, mountPath: /etc/envoy}
    - {name: identity, mountPath: /etc/identity}
  - name: app
    image: python
    command: [python3, /etc/app/app.py]
    volumeMounts: [{name: app, mountPath: /etc/app}]
  volumes:
  - {name: config, configMap: {name: )" +
         name + R"(}}
  - {name: identity, secret: {secretName: )" +
         name + R"(-identity}}
  - {name: app, configMap: {name: envoy-app}}
---
)";
}

const std::string application = R"(apiVersion: v1
kind: ConfigMap
metadata: {name: envoy-app}
data:
  app.py: |
    import http.server, socketserver, threading
    class Web(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            xfcc = self.headers.get("x-forwarded-client-cert")
            body = ("hello from behind Envoy\nxfcc=%s\n" % xfcc).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *a): pass
    class Echo(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile: self.wfile.write(b"envoy echo " + line)
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True
    threading.Thread(target=Server(("127.0.0.1", 8081), Web).serve_forever).start()
    Server(("127.0.0.1", 9090), Echo).serve_forever()
---
apiVersion: v1
kind: Service
metadata: {name: envoy-server}
spec:
  selector: {app: envoy-server}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 9000}]
---
)";

class Interop : public behaviour::MeshScenario {
protected:
  void with_envoys(const std::string& client_id, const std::string& server_id) {
    const Outbound http{18080, our_host, 80, true, spiffe("server")},
        tcp{19000, our_host, 9000, false, spiffe("server")},
        wrong{18081, our_host, 80, true, spiffe("somebody-else")};
    const Inbound http_in{8080, 8081, true}, tcp_in{9000, 9090, false};
    mesh_up(
        {{"envoy.yaml",
          application +
              pod("envoy-client", configuration(listener(http) + listener(tcp) + listener(wrong),
                                                cluster(http) + cluster(tcp) + cluster(wrong))) +
              pod("envoy-server",
                  configuration(listener(http_in) + listener(tcp_in),
                                cluster(http_in) + cluster(tcp_in)),
                  ", security.istio.io/tlsMode: istio") +
              identity("envoy-client-identity", {client_id}) +
              identity("envoy-server-identity", {server_id}) + peer_authentication("STRICT")}});
  }
  // The Envoy in envoy-client answers on loopback.
  std::string through_envoy(int port) {
    const std::string url = "http://127.0.0.1:" + std::to_string(port) + "/";
    std::string out;
    behaviour::soon([&] { return !(out = curl("envoy-client", {"-i", url}).out).empty(); });
    return out;
  }
  std::string line_through(const std::string& pod, const std::string& host, int port) {
    return exec(pod, {"timeout", "10", "python3", "-c",
                      "import socket\ns=socket.create_connection(('" + host + "'," +
                          std::to_string(port) +
                          "),5)\ns.settimeout(5)\ns.sendall(b'ping\\n')\nprint(s.recv(100).decode()"
                          ",end='')"})
        .out;
  }
};

TEST_F(Interop, M7_EnvoyCallsUsAndWeCallEnvoy) {
  with_envoys(spiffe("envoy-client"), spiffe("envoy-server"));
  const auto theirs = through_envoy(18080);
  EXPECT_TRUE(has(theirs, "200 OK")) << theirs << logs("envoy-client", "envoy");
  EXPECT_TRUE(has(theirs, "URI=" + spiffe("envoy-client"))) << theirs;
  EXPECT_EQ(line_through("envoy-client", "127.0.0.1", 19000), "echo ping\n")
      << "TCP, and Envoy offers istio-peer-exchange";

  const auto ours = curl("client", {"http://envoy-server/"});
  EXPECT_TRUE(has(ours.out, "hello from behind Envoy"))
      << ours.out << logs("client", "istio-proxy");
  EXPECT_TRUE(has(ours.out, "URI=" + spiffe("client"))) << ours.out;
  EXPECT_EQ(line_through("client", "envoy-server", 9000), "envoy echo ping\n");
  EXPECT_TRUE(logged("envoy-server", "envoy", "peer=" + spiffe("client")));
  EXPECT_TRUE(logged("envoy-server", "envoy", "sni=outbound_.80_._." + peer_host));
}

TEST_F(Interop, M7_AServerWithAnotherSanIsTakenByNeither) {
  with_envoys(spiffe("envoy-client"), spiffe("another"));
  EXPECT_TRUE(has(through_envoy(18081), "503 ")) << "Envoy wants somebody else";
  const auto ours = curl("client", {"-i", "http://envoy-server/"});
  EXPECT_TRUE(has(ours.out, "503 ")) << ours.out;
  EXPECT_TRUE(has(ours.out, "no SAN of the server certificate matches [" + spiffe("envoy-server")))
      << ours.out;
}

TEST_F(Interop, M7_AnotherTrustDomainIsTakenByNeither) {
  with_envoys("spiffe://elsewhere/ns/default/sa/envoy-client",
              "spiffe://elsewhere/ns/default/sa/envoy-server");
  EXPECT_TRUE(has(through_envoy(18080), "503 "));
  EXPECT_TRUE(logged("server", "istio-proxy", "is_not_of_trust_domain_[cluster.local]"));
  const auto ours = curl("client", {"-i", "http://envoy-server/"});
  EXPECT_TRUE(has(ours.out, "CERTIFICATE_VERIFY_FAILED")) << ours.out;
}

}  // namespace
}  // namespace sallyport::interop
