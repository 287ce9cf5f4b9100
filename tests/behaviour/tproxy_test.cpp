// TPROXY: what arrives is taken without NAT, and the application sees its clients' own addresses
// (istio-api.md 2.15, iptables.md 6). The pods of scenarios M1 to M5, the server's with that mode.
#include <algorithm>

#include "tests/behaviour/mesh_scenario.h"

namespace sallyport::behaviour {
namespace {

class Tproxy : public MeshScenario {
protected:
  void SetUp() override {
    std::ostringstream text;
    text << std::ifstream(SALLYPORT_SOURCE_DIR "/tests/behaviour/mesh/pods.yaml").rdbuf();
    std::string pods = text.str();
    const std::string of_server = "  labels: {app: server}\n  annotations:\n";
    const auto at = pods.find(of_server);
    ASSERT_NE(at, pods.npos);
    pods.insert(at + of_server.size(), "    sidecar.istio.io/interceptionMode: TPROXY\n");
    mesh_up({{"pods.yaml", pods}});
  }

  std::string address(const std::string& pod, bool v6 = false) {
    const std::string family = v6 ? "-6" : "-4";
    auto out = exec(pod, {"sh", "-c",
                          "ip " + family +
                              " -o addr show scope global dev eth0 | head -n 1 | "
                              "sed 's/.*inet6* //; s,/.*,,'"})
                   .out;
    std::erase(out, '\n');
    return out;
  }
  std::string answer(const std::string& pod, const std::string& url) {
    return curl(pod, {url}).out;
  }
};

TEST_F(Tproxy, TheApplicationSeesItsClientsOwnAddresses) {
  const auto client = address("client"), plain = address("plain");
  ASSERT_NE(client, "");
  std::string of_mesh;
  const auto wire = captured("client", [&] { of_mesh = answer("client", "http://server/"); });
  EXPECT_TRUE(has(of_mesh, "from=" + client + "\n")) << of_mesh;
  EXPECT_TRUE(has(of_mesh, "URI=" + spiffe("client"))) << of_mesh;
  EXPECT_FALSE(has(wire, "hello from the server")) << "between the pods it is mutual TLS";
  const auto of_plain = answer("plain", "http://server/");
  EXPECT_TRUE(has(of_plain, "from=" + plain + "\n")) << of_plain;
  EXPECT_TRUE(logged("server", "istio-proxy", plain + ":"));
}

TEST_F(Tproxy, EveryProtocolAndManyConnectionsPass) {
  EXPECT_EQ(line_from("client", 9000), "echo ping\n");
  EXPECT_EQ(line_from("plain", 9000), "echo ping\n");
  EXPECT_TRUE(line_from("plain", 9001).starts_with("220 ready\n")) << "the server speaks first";
  const auto many = exec("plain", {"sh", "-c",
                                   "for i in $(seq 50); do curl -sS -m 5 -o /dev/null -w "
                                   "'%{http_code}\\n' http://server/; done | sort | uniq -c"});
  EXPECT_TRUE(has(many.out, "50 200")) << many.out << many.err;
}

// As behind a translator. The sidecar's own connections come from one of 22,528 ports of the same
// address: one that is the client's would meet the client's live connection, some dozen times here.
constexpr const char* live_clients = R"(
import socket, sys
held = []
for port in range(10240, 11240):
    s = socket.socket()
    s.settimeout(10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('', port))
    s.connect((sys.argv[1], 8080))
    held.append(s)
bad = 0
for round in range(2):
    asking = held[round * 300:round * 300 + 300]
    for s in asking:
        s.sendall(b'GET / HTTP/1.1\r\nHost: server\r\n\r\n')
    for s in asking:
        answer = b''
        while b'hello' not in answer:
            part = s.recv(4096)
            if not part: break
            answer += part
        bad += b' 200 ' not in answer[:20]
print('bad', bad)
)";

TEST_F(Tproxy, AClientsLiveConnectionsFromAnyPortAreLeftAlone) {
  const auto result = exec("plain", {"python3", "-c", live_clients, address("server")});
  EXPECT_EQ(result.out, "bad 0\n") << result.err;
}

TEST_F(Tproxy, TwoClientsShareNoConnectionToTheApplication) {
  const auto client = address("client"), plain = address("plain");
  for (int i = 0; i < 3; i++) {
    EXPECT_TRUE(has(answer("client", "http://server:81/"), "from=" + client));
    EXPECT_TRUE(has(answer("plain", "http://server:81/"), "from=" + plain));
  }
}

// Rows 5 and 6 of the reference's flows: by its own service through both sides of the sidecar, by
// its own address straight.
TEST_F(Tproxy, TheApplicationReachesItself) {
  // The short name is the pod's own in /etc/hosts.
  EXPECT_TRUE(has(answer("server", "http://server.default/"), "hello from the server"));
  EXPECT_TRUE(logged("server", "istio-proxy", " inbound|8080|| "));
  EXPECT_TRUE(
      has(answer("server", "http://" + address("server") + ":8080/"), "hello from the server"));
  EXPECT_TRUE(has(answer("server", "http://127.0.0.1:8080/"), "hello from the server"));
}

TEST_F(Tproxy, PoliciesHoldAsWithRedirect) {
  apply("strict.yaml", peer_authentication("STRICT"));
  EXPECT_TRUE(soon([&] { return status("plain") == "000"; }));
  EXPECT_EQ(status("client"), "200");
}

// Its listeners, which are not captured, and its capture port, at which nobody is served.
TEST_F(Tproxy, OwnPortsAnswerAndTheCapturePortItselfRefuses) {
  EXPECT_EQ(status("plain", "http://" + address("server") + ":15021/healthz/ready"), "200");
  EXPECT_EQ(status("plain", "http://" + address("server") + ":15006/"), "000");
}

}  // namespace
}  // namespace sallyport::behaviour
