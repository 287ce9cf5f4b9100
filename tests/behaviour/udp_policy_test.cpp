// HTTP/3 as a way round the sidecar: a real QUIC client and server (ngtcp2), and --udp-policy
// between them.
#include <cstring>

#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string host = "web.mesh-external.svc.cluster.local";

std::string mesh(const std::string& policy, const std::string& outbound) {
  return R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    accessLogFile: /dev/stdout
    outboundTrafficPolicy: {mode: )" +
         outbound + R"(}
    defaultConfig:
      proxyMetadata:
        UDP_POLICY: )" +
         policy + "\n";
}

constexpr const char* pods = R"(
apiVersion: v1
kind: Pod
metadata: {name: app, labels: {app: app}}
spec:
  containers:
  - name: app
    image: python
    command: [sleep, infinity]
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: mesh-external
  annotations: {networking.istio.io/exportTo: "~"}  # the mesh does not know it
spec: {clusterIP: None, selector: {app: web}, ports: [{name: tls, port: 443}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: mesh-external
  labels: {app: web}
  annotations: {sidecar.istio.io/inject: "false"}
spec:
  containers:
  - name: web
    image: python
    command:
    - sh
    - -c
    - |
      cd /tmp && mkdir -p udp && cd udp && echo 'Welcome by HTTP/3' > index.html
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -keyout key.pem -out cert.pem -subj /CN=web 2>/dev/null
      exec gtlsserver -q -d . '*' 443 key.pem cert.pem
)";

constexpr const char* originated = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.mesh-external.svc.cluster.local]
  ports: [{number: 443, name: tls, protocol: HTTPS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web.mesh-external.svc.cluster.local
  trafficPolicy: {tls: {mode: SIMPLE}}
)";

// How many UDP datagrams to port 443 a capture holds (pcap, Ethernet, IPv4 and IPv6 as they come).
int quic_datagrams(const std::string& pcap) {
  const auto octet = [&](std::size_t at) { return at < pcap.size() ? uint8_t(pcap[at]) : 0u; };
  int found = 0;
  for (std::size_t at = 24; at + 16 <= pcap.size();) {
    uint32_t size = 0;
    std::memcpy(&size, pcap.data() + at + 8, sizeof size);
    const std::size_t packet = at + 16 + 14;
    const bool v4 = octet(packet) >> 4 == 4;
    const unsigned protocol = octet(packet + (v4 ? 9 : 6));
    const std::size_t udp = packet + (v4 ? (octet(packet) & 15u) * 4 : 40);
    if (protocol == 17 && (octet(udp + 2) << 8 | octet(udp + 3)) == 443) found++;
    at += 16 + size;
  }
  return found;
}

class UdpPolicy : public Scenario {
protected:
  void udp_up(const std::string& policy, const std::string& outbound,
              const std::string& rules = {}) {
    sandbox::Files files = {{"mesh.yaml", mesh(policy, outbound)}, {"pods.yaml", pods}};
    if (!rules.empty()) files["rules.yaml"] = rules;
    start(files);
  }
  // A request by HTTP/3, at most five seconds: "answered", or how it failed.
  std::string http3(const std::string& version = "v1") {
    const auto begun = std::chrono::steady_clock::now();
    const auto result =
        exec("app", {"timeout", "5", "gtlsclient", "-v", version, "--exit-on-all-streams-close",
                     host, "443", "https://" + host + "/index.html"});
    const std::string said = result.out + result.err;
    if (has(said, ":status: 200")) return "answered";
    const bool at_once = std::chrono::steady_clock::now() - begun < std::chrono::seconds(3);
    // By ICMP, or by the rules themselves once conntrack has the verdict.
    if (has(said, "Connection refused") || has(said, "Operation not permitted"))
      return at_once ? "refused at once" : "refused late";
    return said;
  }
};

TEST_F(UdpPolicy, UnderEnforceARealQuicClientIsRefusedAndNothingLeavesThePod) {
  udp_up("enforce", "REGISTRY_ONLY");
  ASSERT_TRUE(soon([&] { return has(logs("app", "istio-proxy"), "ready: "); }));
  std::string became;
  const auto wire = captured_if_any("app", [&] { became = http3(); });
  EXPECT_EQ(became, "refused at once");
  EXPECT_EQ(quic_datagrams(wire), 0);
  EXPECT_TRUE(logged("app", "istio-proxy", "\"- - QUIC\" 0 UH udp_policy_refused - \"by_TCP_it_"));
  EXPECT_TRUE(logged("app", "istio-proxy", " " + host + " -\n")) << "its SNI";
}

TEST_F(UdpPolicy, UnderLogItIsAnsweredAndLogged) {
  udp_up("log", "REGISTRY_ONLY");
  ASSERT_TRUE(soon([&] { return http3() == "answered"; }));
  EXPECT_GT(quic_datagrams(captured("app", [&] { http3(); })), 0)
      << "what the test above looks for";
  EXPECT_TRUE(logged("app", "istio-proxy", "\"- - QUIC\" 0 - udp_policy_would_refuse - \"by_TCP"));
  const auto stats = curl("app", {"http://127.0.0.1:15020/stats/prometheus"}).out;
  EXPECT_TRUE(has(stats, "sallyport_udp_flows_refused_total{} ")) << stats;
}

TEST_F(UdpPolicy, WithoutAPolicyItPassesByUnseen) {
  udp_up("\"off\"", "REGISTRY_ONLY");
  ASSERT_TRUE(soon([&] { return http3() == "answered"; }));
  EXPECT_FALSE(has(logs("app", "istio-proxy"), "QUIC"));
}

TEST_F(UdpPolicy, ARuleThatDemandsTlsIsNotPassedByWithHttp3) {
  udp_up("enforce", "ALLOW_ANY");
  ASSERT_TRUE(soon([&] { return http3() == "answered"; })) << "no rule speaks of it";
  apply("rules.yaml", originated);
  EXPECT_TRUE(soon([&] { return http3() == "refused at once"; }));
  EXPECT_TRUE(logged("app", "istio-proxy",
                     "a_rule_has_the_sidecar_speak_TLS_there,_which_HTTP/3_would_pass_by;_"
                     "DestinationRule_default/web_(/etc/istio/config/rules.yaml:"));
}

TEST_F(UdpPolicy, AServiceEntryWithAUdpPortLetsItPass) {
  std::string entry = originated;
  entry = entry.substr(0, entry.find("---"));
  entry.replace(entry.find("HTTPS"), 5, "UDP");
  udp_up("enforce", "REGISTRY_ONLY", entry);
  EXPECT_TRUE(soon([&] { return http3() == "answered"; }));
}

// Rules know the sidecar by its user: NET_ADMIN alone is kept of root.
TEST_F(UdpPolicy, TheSidecarGoesOnAsItsOwnUser) {
  udp_up("enforce", "ALLOW_ANY");
  const auto status =
      in_sidecar("app", "grep -E '^(Uid|Gid|CapPrm|CapEff|CapBnd)' /proc/$proxy/status");
  EXPECT_TRUE(has(status.out,
                  "Uid:\t1337\t1337\t1337\t1337\nGid:\t1337\t1337\t1337\t1337\n"
                  "CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\n"))
      << status.out << status.err;
}

TEST_F(UdpPolicy, ASidecarThatMayNotReadItDoesNotStart) {
  udp_up("enforce", "ALLOW_ANY");
  const auto result = in_sidecar("app",
                                 "setpriv --reuid=1337 --keep-groups sallyport sidecar --config "
                                 "/etc/istio/config --admin 127.0.0.1:16000");
  EXPECT_EQ(result.code, 1) << result.out << result.err;
  EXPECT_TRUE(has(result.out + result.err,
                  "--udp-policy: NFQUEUE: queue 15001: Operation not permitted; the sidecar needs "
                  "the capability NET_ADMIN"))
      << result.out << result.err;
}

}  // namespace
}  // namespace sallyport::behaviour
