// Scenario E11, and DNS capture beside it: names that only the mesh knows, the others, and whose
// questions are captured at all (istio-api.md 2.17; iptables.md 5 and flows 10 and 11).
#include <algorithm>

#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string host = "my-nginx.mesh-external.svc.cluster.local";

constexpr const char* mesh_with_capture = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    accessLogFile: /dev/stdout
    defaultConfig:
      proxyMetadata:
        ISTIO_META_DNS_CAPTURE: "true"
)";

// Two services that nothing but their addresses tells apart: whoever dials port 9000 is told which
// it is.
constexpr const char* two_tcp_services = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one}
spec:
  hosts: [one.tcp.test]
  ports: [{number: 9000, name: tcp, protocol: TCP, targetPort: 7001}]
  resolution: DNS
  endpoints: [{address: servers.mesh-external.svc.cluster.local}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two}
spec:
  hosts: [two.tcp.test]
  ports: [{number: 9000, name: tcp, protocol: TCP, targetPort: 7002}]
  resolution: DNS
  endpoints: [{address: servers.mesh-external.svc.cluster.local}]
---
apiVersion: v1
kind: Service
metadata: {name: servers, namespace: mesh-external}
spec:
  selector: {app: servers}
  ports: [{name: tcp-one, port: 7001}, {name: tcp-two, port: 7002}]
---
apiVersion: v1
kind: Pod
metadata: {name: servers, namespace: mesh-external, labels: {app: servers}}
spec:
  containers:
  - name: servers
    image: python
    command:
    - python3
    - -c
    - |
      import socket, threading
      def serve(port):
          with socket.create_server(("", port)) as server:
              while True:
                  peer = server.accept()[0]
                  peer.sendall(b"port %d" % port)
                  peer.close()
      for port in (7001, 7002): threading.Thread(target=serve, args=(port,)).start()
---
apiVersion: v1
kind: ConfigMap
metadata: {name: sandbox-dns, namespace: kube-system}
data:
  outside.example.org: 198.51.100.7
)";

// Asks the pod's first nameserver itself: what is to be seen is the packets' way.
//   ask.py udp|tcp NAME [SOURCE PORT]
constexpr const char* ask = R"(
import re, socket, struct, sys
kind, name = sys.argv[1:3]
port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
server = re.search(r'nameserver ([0-9.]+)', open('/etc/resolv.conf').read())[1]
labels = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + bytes(1)
query = struct.pack('>6H', 4711, 256, 1, 0, 0, 0) + labels + struct.pack('>2H', 1, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
s.settimeout(10)
s.bind(('', port))
s.connect((server, 53))
if kind == 'tcp':
    s.sendall(struct.pack('>H', len(query)) + query)
    answer = s.recv(65535)
    while len(answer) < 2 + struct.unpack('>H', answer[:2])[0]: answer += s.recv(65535)
    answer = answer[2:]
else:
    s.send(query)
    answer = s.recv(65535)
count = struct.unpack('>H', answer[6:8])[0]
print('rcode', answer[3] & 15, 'answers', count, socket.inet_ntoa(answer[-4:]) if count else '')
)";

class Dns : public Scenario {
protected:
  // The sample of E3, whose server's name is in no DNS: its Service has another.
  void capture_up() {
    std::ostringstream file;
    file << std::ifstream(SALLYPORT_SOURCE_DIR "/deploy/samples/egress-mtls/my-nginx.yaml").rdbuf();
    std::string server = file.str();
    const std::string service = "kind: Service\nmetadata:\n  name: my-nginx\n";
    const auto at = server.find(service);
    ASSERT_NE(at, server.npos);
    server.replace(at, service.size(), "kind: Service\nmetadata:\n  name: hidden\n");
    std::ostringstream rules;
    rules << std::ifstream(SALLYPORT_SOURCE_DIR "/deploy/samples/egress-mtls/originate-mtls.yaml")
                 .rdbuf();
    std::string entry = rules.str();
    const std::string resolution = "  resolution: DNS\n";
    ASSERT_NE(entry.find(resolution), entry.npos);
    entry.insert(entry.find(resolution),
                 "  endpoints:\n  - address: hidden.mesh-external.svc.cluster.local\n");
    up("egress-mtls", {{"mesh.yaml", mesh_with_capture},
                       {"my-nginx.yaml", server},
                       {"originate-mtls.yaml", entry},
                       {"tcp.yaml", two_tcp_services}});
  }
  std::string asked(const std::string& pod, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"python3", "-c", ask});
    const auto result = exec(pod, arguments);
    return result.out + result.err;
  }
  std::string asked_by_sidecar(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"python3", "-c", ask});
    sandbox::ExecOptions options;
    options.container = "istio-proxy";
    const auto result = sandbox_->exec("sleep", arguments, options);
    return result ? result->out + result->err : result.error().context;
  }
  std::string resolved(const std::string& pod, const std::string& name) {
    return exec(pod, {"getent", "ahosts", name}).out;
  }
};

TEST_F(Dns, E11_ANameThatOnlyTheMeshKnowsIsResolvedAndReached) {
  capture_up();
  EXPECT_EQ(resolved("mesh-external/my-nginx", host), "") << "no DNS knows it";
  const auto addresses = resolved("sleep", host);
  EXPECT_TRUE(has(addresses, "240.240.")) << addresses;
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] { result = curl("sleep", {"http://" + host}); });
  EXPECT_TRUE(has(result.out, "Welcome to nginx!")) << result.out << result.err;
  EXPECT_TRUE(has(wire, host)) << "the SNI of a ClientHello";
  EXPECT_FALSE(has(wire, "Welcome to nginx")) << "encrypted on the wire";
  EXPECT_FALSE(has(wire, "GET / HTTP")) << "encrypted on the wire";
  EXPECT_TRUE(logged("mesh-external/my-nginx", "my-nginx", "CN=client.example.com"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "outbound|80||" + host));
  const auto log = logs("sleep", "istio-proxy");
  EXPECT_TRUE(has(log, " 240.240.") || has(log, " [2001:2::f0f")) << "what the client dialled\n"
                                                                  << log;
}

TEST_F(Dns, E11_OtherNamesAreTheRealResolvers) {
  capture_up();
  EXPECT_TRUE(has(resolved("sleep", "outside.example.org"), "198.51.100.7 "));
  EXPECT_EQ(resolved("sleep", "nowhere.example.org"), "");
  for (const std::string kind : {"udp", "tcp"}) {
    EXPECT_EQ(asked("sleep", {kind, "outside.example.org"}), "rcode 0 answers 1 198.51.100.7\n");
    EXPECT_EQ(asked("sleep", {kind, "nowhere.example.org"}), "rcode 3 answers 0 \n");
    EXPECT_TRUE(asked("sleep", {kind, host}).starts_with("rcode 0 answers 1 240.240."));
  }
  const auto metrics = curl("sleep", {"http://127.0.0.1:15020/stats/prometheus"}).out;
  EXPECT_TRUE(has(metrics, "\nistio_agent_dns_requests_total")) << metrics;
}

TEST_F(Dns, ServicesHaveTheirShortNames) {
  capture_up();
  for (const char* name : {"hidden.mesh-external", "hidden.mesh-external.svc",
                           "hidden.mesh-external.svc.cluster.local"}) {
    EXPECT_NE(resolved("sleep", name), "") << name;
  }
  EXPECT_EQ(asked("sleep", {"udp", host + ".default.svc.cluster.local"}),
            asked("sleep", {"udp", host + ".default.svc.cluster.local"}));
  EXPECT_TRUE(asked("sleep", {"udp", host + ".default.svc.cluster.local"})
                  .starts_with("rcode 0 answers 2 240.240."))
      << "a CNAME ends the search at its first domain";
}

TEST_F(Dns, TcpServicesShareAPortNumber) {
  capture_up();
  const auto said = [&](const std::string& name) {
    return exec("sleep", {"python3", "-c",
                          "import socket, sys\n"
                          "print(socket.create_connection((sys.argv[1], 9000), 10).recv(100))",
                          name})
        .out;
  };
  EXPECT_EQ(said("one.tcp.test"), "b'port 7001'\n");
  EXPECT_EQ(said("two.tcp.test"), "b'port 7002'\n");
  EXPECT_TRUE(logged("sleep", "istio-proxy", "outbound|9000||one.tcp.test"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "outbound|9000||two.tcp.test"));
}

// NAT remembers a flow by addresses and ports, and UDP ports come again: without zones the
// application's question would go the way of the sidecar's, and the answers the reverse
// (istio#33469).
TEST_F(Dns, QuestionsOfTheSidecarAndOfTheApplicationFromOnePortGoTheirOwnWays) {
  capture_up();
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(asked_by_sidecar({"udp", host, "45000"}), "rcode 3 answers 0 \n")
        << "the sidecar's own are not captured";
    EXPECT_TRUE(asked("sleep", {"udp", host, "45000"}).starts_with("rcode 0 answers 1 240.240."));
  }
}

TEST_F(Dns, WithoutCaptureNothingIsAnsweredHere) {
  up("egress-mtls");
  EXPECT_EQ(asked("sleep", {"udp", "sleep.example.org"}), "rcode 3 answers 0 \n");
  EXPECT_EQ(exec("sleep", {"python3", "-c",
                           "import socket; print(socket.socket().connect_ex(('127.0.0.1', "
                           "15053)))"})
                .out,
            "111\n")
      << "ECONNREFUSED";
}

}  // namespace
}  // namespace sallyport::behaviour
