// Scenarios E1 and E6: traffic that no rule touches, listed and unlisted.
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

class EgressPlain : public Scenario {
protected:
  static std::string mesh(const std::string& mode) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
           "data:\n  mesh: |-\n    accessLogFile: /dev/stdout\n"
           "    outboundTrafficPolicy: {mode: " +
           mode + "}\n";
  }
};

TEST_F(EgressPlain, E1_HttpIsRedirectedByTheServerAndHttpsPassesBySni) {
  up("egress-plain");
  const auto result =
      curl("sleep", {"-L", "-o", "/dev/null", "-D", "-", "http://edition.cnn.com/politics"});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto first = result.out.find("HTTP/1.1 301"), second = result.out.find("HTTP/2 200");
  ASSERT_NE(first, std::string::npos) << result.out;
  ASSERT_NE(second, std::string::npos) << result.out;
  EXPECT_LT(first, second);
  EXPECT_TRUE(has(result.out, "https://edition.cnn.com/politics")) << result.out;
  EXPECT_TRUE(logged("sleep", "istio-proxy", "\"GET /politics HTTP/1.1\" 301 - via_upstream "));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "outbound|443||edition.cnn.com "));
  EXPECT_TRUE(logged("sleep", "istio-proxy", " edition.cnn.com -\n")) << "the SNI is logged";
}

TEST_F(EgressPlain, E1_IPv6IsCapturedLikeIPv4) {
  up("egress-plain");
  for (const char* family : {"-4", "-6"}) {
    const auto result = curl("sleep", {family, "-o", "/dev/null", "-w", "%{http_code}",
                                       "http://edition.cnn.com/family" + std::string(family)});
    EXPECT_EQ(result.out, "301") << family << result.err;
    EXPECT_TRUE(logged("sleep", "istio-proxy", "\"GET /family" + std::string(family)));
  }
}

TEST_F(EgressPlain, E6_AllowAnyPassesUnlistedHosts) {
  up("egress-plain");
  const auto plain =
      curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", "http://unlisted.example.net/"});
  EXPECT_EQ(plain.out, "301") << plain.err;
  EXPECT_TRUE(logged("sleep", "istio-proxy", " allow_any\n"));
  const auto tls =
      curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", "https://unlisted.example.net/"});
  EXPECT_EQ(tls.out, "200") << tls.err;
  EXPECT_TRUE(logged("sleep", "istio-proxy", " PassthroughCluster "));
}

TEST_F(EgressPlain, E6_RegistryOnlyRefusesThemAndSendsNothing) {
  up("egress-plain", {{"mesh.yaml", mesh("REGISTRY_ONLY")}});
  const auto wire = captured_if_any("outside/unlisted", [this] {
    const auto plain = curl("sleep", {"-D", "-", "http://unlisted.example.net/marker-in-path"});
    EXPECT_TRUE(plain.out.starts_with("HTTP/1.1 502 Bad Gateway")) << plain.out << plain.err;
    const auto tls = curl("sleep", {"https://unlisted.example.net/"});
    EXPECT_EQ(tls.code, 35) << "accepted, then closed in the handshake: " << tls.err;
  });
  EXPECT_FALSE(has(wire, "marker-in-path"));
  EXPECT_FALSE(has(wire, "unlisted.example.net")) << "not even a ClientHello";
  EXPECT_TRUE(logged("sleep", "istio-proxy", " 502 - direct_response "));
  EXPECT_TRUE(logged("sleep", "istio-proxy", " block_all\n"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "\"- - -\" 0 UH "));
  EXPECT_TRUE(logged("sleep", "istio-proxy", " BlackHoleCluster "));
  const auto listed =
      curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", "http://edition.cnn.com/"});
  EXPECT_EQ(listed.out, "301") << "what is listed still passes";
}

TEST_F(EgressPlain, E6_TheModeChangesWithoutARestart) {
  up("egress-plain");
  const auto ask = [this] {
    return curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", "http://unlisted.example.net/"})
        .out;
  };
  EXPECT_EQ(ask(), "301");
  apply("mesh.yaml", mesh("REGISTRY_ONLY"));
  EXPECT_TRUE(soon([&] { return ask() == "502"; }));
  apply("mesh.yaml", mesh("ALLOW_ANY"));
  EXPECT_TRUE(soon([&] { return ask() == "301"; }));
}

}  // namespace
}  // namespace sallyport::behaviour
