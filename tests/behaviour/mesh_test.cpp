// Scenarios M1, M4 and M5: two pods with sidecars, and one without.
#include "tests/behaviour/mesh_scenario.h"

namespace sallyport::behaviour {
namespace {

class Mesh : public MeshScenario {
protected:
  void SetUp() override { mesh_up(); }
};

TEST_F(Mesh, M1_AutoMutualTls) {
  sandbox::CommandResult result;
  const auto wire = captured("client", [&] { result = curl("client", {"http://server/"}); });
  EXPECT_TRUE(has(result.out, "hello from the server")) << result.out << result.err;
  EXPECT_FALSE(has(wire, "hello from the server")) << "encrypted on the wire";
  EXPECT_FALSE(has(wire, "GET / HTTP")) << "encrypted on the wire";
  EXPECT_TRUE(has(wire, "outbound_.80_._.server.default.svc.cluster.local")) << "Istio's SNI";
  EXPECT_TRUE(has(wire, "istio-http/1.1")) << "Istio's ALPN";
  EXPECT_TRUE(has(result.out, "from=127.0.0.6\n")) << result.out;
  EXPECT_TRUE(has(result.out, "xfcc=By=" + spiffe("server") + ";Hash=")) << result.out;
  EXPECT_TRUE(has(result.out, ";Subject=\"\";URI=" + spiffe("client") + "\n")) << result.out;
  EXPECT_TRUE(logged("client", "istio-proxy", "outbound|80||server.default.svc.cluster.local"));
  EXPECT_TRUE(logged("server", "istio-proxy", "inbound|8080|| 127.0.0.6:"));
  EXPECT_TRUE(logged("server", "istio-proxy",
                     " outbound_.80_._.server.default.svc.cluster.local default\n"));
}

TEST_F(Mesh, M1_APlainCallerIsServedInPlaintextWherePermissive) {
  sandbox::CommandResult result;
  const auto wire = captured("plain", [&] { result = curl("plain", {"http://server/"}); });
  EXPECT_TRUE(has(result.out, "hello from the server")) << result.out << result.err;
  EXPECT_TRUE(has(result.out, "xfcc=\n")) << result.out;
  EXPECT_TRUE(has(wire, "hello from the server"));
}

TEST_F(Mesh, M4_TheAppsOwnTlsGoesThroughMutualTlsUntouched) {
  sandbox::CommandResult result;
  const auto wire = captured("client", [&] {
    result = curl("client", {"-vk", "https://server/"});
  });
  EXPECT_TRUE(has(result.out, "the application's own TLS: TLSv1.2 from 127.0.0.6")) << result.err;
  EXPECT_TRUE(has(result.err, "issuer: CN=Application Root")) << result.err;
  EXPECT_TRUE(has(wire, "outbound_.443_._.server.default.svc.cluster.local"))
      << "mutual TLS around it";
}

TEST_F(Mesh, M5_EachPortIsTakenForWhatItIsDeclared) {
  EXPECT_EQ(line_from("client", 9000), "echo ping\n") << "tcp-echo";
  EXPECT_EQ(line_from("client", 9001, ""), "220 ready\n") << "tcp-banner: the server speaks first";
  EXPECT_EQ(line_from("client", 9003, ""), "220 ready\n") << "appProtocol: tcp";
  EXPECT_EQ(line_from("client", 9002), "echo ping\n") << "no name: detected as bytes";
  EXPECT_TRUE(has(curl("client", {"http://server:81/"}).out, "hello from the server"))
      << "no name: detected as HTTP";
  EXPECT_TRUE(logged("server", "istio-proxy", "\"GET / HTTP/1.1\" 200 - via_upstream"));
  EXPECT_TRUE(logged("server", "istio-proxy", "inbound|8081|| 127.0.0.6:"));
  EXPECT_TRUE(logged("server", "istio-proxy", "inbound|9000|| 127.0.0.6:"));
}

TEST_F(Mesh, M5_WhatIsDeclaredHttpIsNotTakenForAnythingElse) {
  const auto answer = line_from("plain", 80, "this is no HTTP\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request")) << answer;
}

}  // namespace
}  // namespace sallyport::behaviour
