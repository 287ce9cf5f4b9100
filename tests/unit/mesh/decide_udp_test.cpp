// Which UDP flows may leave the pod: HTTP/3 is no way round what the sidecar does with TCP, other
// UDP goes where somebody declares it, or where everything may go.
#include "agent/mesh/decide_udp.h"

#include <gtest/gtest.h>

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

using Kind = UdpFlow::Kind;

class Udp : public testing::Test {
protected:
  Udp() { world_.input.proxy.udp_policy = istio::UdpPolicy::enforce; }
  // "allowed" or why not.
  std::string flow(const std::string& destination, Kind kind = Kind::other,
                   const std::string& sni = "") {
    if (world_.input.resources.size() != compiled_ || !world_.compiled.snapshot) compile();
    const auto plan =
        decide_udp(world_.snapshot(), {.destination = at(destination), .kind = kind, .sni = sni});
    return plan.allowed ? "allowed" : std::string(plan.why);
  }
  std::string quic(const std::string& sni, const std::string& destination = "198.51.100.1:443") {
    return flow(destination, Kind::quic, sni);
  }
  void compile() {
    compiled_ = world_.input.resources.size();
    world_.compile();
  }
  World world_;
  std::size_t compiled_ = 0;
};

const std::string https = entry({.host = "web.test", .ports = {"443 HTTPS"}});
const std::string originated = entry({.host = "api.test", .ports = {"443 HTTPS"}}) + "\n---\n" + R"(
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api.test
  trafficPolicy: {tls: {mode: SIMPLE}}
)";
const std::string voice = entry({.host = "voice.test",
                                 .resolution = "STATIC",
                                 .ports = {"3478 UDP"},
                                 .more = "  endpoints: [{address: 192.0.2.7}]\n"});

TEST_F(Udp, WhereEverythingMayGoItPasses) {
  EXPECT_EQ(flow("198.51.100.1:123"), "allowed");
  EXPECT_EQ(quic("anything.test"), "allowed");
  EXPECT_EQ(quic(""), "allowed");
  EXPECT_EQ(flow("198.51.100.1:443", Kind::unread), "allowed");
}

TEST_F(Udp, UnderRegistryOnlyItIsRefusedUnlessDeclared) {
  world_.registry_only().add(voice);
  EXPECT_EQ(flow("198.51.100.1:123"), "nothing declares this UDP address and port");
  EXPECT_EQ(flow("192.0.2.7:3478"), "allowed");
  EXPECT_EQ(flow("192.0.2.7:3479"), "nothing declares this UDP address and port");
  EXPECT_EQ(quic("unlisted.test"), "by TCP it would be refused, too");
  EXPECT_EQ(flow("198.51.100.1:443", Kind::unread), "a QUIC ClientHello that can't be read");
}

TEST_F(Udp, WhereARuleHasTheSidecarSpeakTlsHttp3WouldPassItBy) {
  world_.add(originated);
  EXPECT_EQ(quic("api.test"), "a rule has the sidecar speak TLS there, which HTTP/3 would pass by");
  EXPECT_EQ(quic("other.test"), "allowed");
  EXPECT_EQ(flow("198.51.100.1:443", Kind::unread),
            "a QUIC ClientHello that can't be read may name a host with a rule");
}

TEST_F(Udp, ARuleThatCannotBeReadClosesItsHostToHttp3Too) {
  std::string broken = originated;
  broken.replace(broken.find("SIMPLE"), 6, "SIMPEL");
  world_.add(broken);
  EXPECT_EQ(quic("api.test"), "by TCP it would be refused, too");
}

// Who may say a name may not thereby go anywhere.
TEST_F(Udp, UnderRegistryOnlyAListedNameLeadsWhereTheSidecarWouldGo) {
  world_.registry_only().add(https);
  EXPECT_EQ(quic("web.test"), "the sidecar would choose where this name leads");
  world_.add(entry({.host = "fixed.test",
                    .resolution = "STATIC",
                    .ports = {"443 TLS"},
                    .more = "  endpoints: [{address: 192.0.2.9}]\n"}));
  EXPECT_EQ(quic("fixed.test", "192.0.2.9:443"), "allowed");
  EXPECT_EQ(quic("fixed.test"), "the sidecar would choose where this name leads");
  world_.add(entry({.host = "*.any.test", .resolution = "NONE", .ports = {"443 TLS"}}));
  EXPECT_EQ(quic("a.any.test"), "allowed") << "TLS would go to the dialled address, too";
}

TEST_F(Udp, ADeclaredUdpPortLetsItsHostsHttp3Pass) {
  world_.registry_only()
      .add(https)
      .add(entry({.host = "h3.test", .ports = {"443 UDP"}}))
      .add(entry({.host = "block.test",
                  .resolution = "NONE",
                  .ports = {"443 UDP"},
                  .more = "  addresses: [203.0.113.0/24]\n"}));
  EXPECT_EQ(quic("h3.test"), "allowed");
  EXPECT_EQ(quic("web.test", "203.0.113.5:443"), "allowed");
  EXPECT_EQ(quic("web.test", "203.0.114.5:443"), "the sidecar would choose where this name leads");
}

TEST_F(Udp, OfAHeadlessServiceLeadsToItsPods) {
  world_.registry_only().add(R"(
apiVersion: v1
kind: Service
metadata: {name: statistics}
spec: {clusterIP: None, selector: {app: statistics}, ports: [{port: 8125, protocol: UDP}]}
---
apiVersion: v1
kind: Pod
metadata: {name: statistics-0, labels: {app: statistics}}
status: {podIP: 10.4.0.9, phase: Running, conditions: [{type: Ready, status: "True"}]}
)");
  EXPECT_EQ(flow("10.4.0.9:8125"), "allowed");
  EXPECT_EQ(flow("10.4.0.8:8125"), "nothing declares this UDP address and port");
}

TEST_F(Udp, WithoutAPolicyNothingIsCompiledForIt) {
  world_.input.proxy.udp_policy = istio::UdpPolicy::off;
  compile();
  EXPECT_FALSE(world_.snapshot().udp);
}

TEST_F(Udp, OnAPortOfHttpItIsJudgedAsTlsThereIs) {
  world_.add(entry({.host = "http.test",
                    .resolution = "STATIC",
                    .ports = {"8443 HTTP"},
                    .more = "  addresses: [10.1.2.3]\n  endpoints: [{address: 192.0.2.1}]\n"}));
  EXPECT_EQ(quic("http.test", "10.1.2.3:8443"), "allowed");
  world_.registry_only();
  compile();
  EXPECT_NE(quic("http.test", "10.1.2.3:8443"), "allowed");
}

TEST_F(Udp, ThePlanNamesTheResource) {
  world_.add(originated).add(voice);
  compile();
  const auto rule =
      decide_udp(world_.snapshot(),
                 {.destination = at("198.51.100.1:443"), .kind = Kind::quic, .sni = "api.test"});
  ASSERT_TRUE(rule.from);
  EXPECT_EQ(rule.from->kind, "DestinationRule");
  const auto declared =
      decide_udp(world_.snapshot(), {.destination = at("192.0.2.7:3478"), .sni = ""});
  ASSERT_TRUE(declared.from);
  EXPECT_EQ(declared.from->kind, "ServiceEntry");
}

}  // namespace
}  // namespace sallyport::mesh
