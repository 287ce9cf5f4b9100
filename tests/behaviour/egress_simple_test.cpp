// Scenarios E2 and E2b: TLS originated for HTTP, and the app's own TLS left alone.
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

using EgressSimple = Scenario;

TEST_F(EgressSimple, E2_PlainHttpLeavesAsTls) {
  up("egress-simple");
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] {
    result = curl("sleep", {"-L", "-o", "/dev/null", "-D", "-", "http://edition.cnn.com/politics"});
  });
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("HTTP/1.1 200 OK\r\n")) << result.out;
  EXPECT_EQ(count(result.out, "HTTP/"), 1) << "one response only: " << result.out;
  EXPECT_TRUE(has(wire, "edition.cnn.com")) << "the SNI of a ClientHello";
  EXPECT_FALSE(has(wire, "politics")) << "the path is not readable";
  EXPECT_TRUE(logged("sleep", "istio-proxy", "\"GET /politics HTTP/1.1\" 200 - via_upstream "));
  EXPECT_TRUE(logged("outside/edition", "nginx", "tls=TLSv1.3 sni=edition.cnn.com"));
}

TEST_F(EgressSimple, E2b_TheAppsOwnTlsIsNotOriginatedAgain) {
  up("egress-simple");
  const auto result = curl("sleep", {"-o", "/dev/null", "-w", "%{http_version} %{http_code}",
                                     "https://edition.cnn.com/politics"});
  EXPECT_EQ(result.out, "2 200") << result.err;
  const std::string own =
      "openssl s_client -connect edition.cnn.com:443 -servername "
      "edition.cnn.com </dev/null 2>/dev/null | "
      "openssl x509 -noout -fingerprint -sha256";
  const auto seen = exec("sleep", {"sh", "-c", own});
  const auto servers = exec("outside/edition", {"openssl", "x509", "-noout", "-fingerprint",
                                                "-sha256", "-in", "/etc/certs/tls.crt"});
  EXPECT_TRUE(has(seen.out, "Fingerprint=")) << seen.err;
  EXPECT_EQ(seen.out, servers.out) << "the client sees the server's own certificate";
}

TEST_F(EgressSimple, AServerThatIsNotWhoItShouldBeIsRefusedWithTheReason) {
  up("egress-simple", {{"originate-tls.yaml", R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: edition}
spec:
  hosts: [other.example.org]
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 443}
  resolution: DNS
  endpoints: [{address: edition.cnn.com}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: edition}
spec:
  host: other.example.org
  trafficPolicy:
    tls: {mode: SIMPLE}
)"}});
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] {
    result = exec("sleep",
                  {"curl", "-sS", "-m", "20", "-D", "-", "--resolve",
                   "other.example.org:80:198.18.255.1", "http://other.example.org/marker-in-path"});
  });
  EXPECT_TRUE(result.out.starts_with("HTTP/1.1 503 Service Unavailable")) << result.out;
  EXPECT_TRUE(has(result.out, "other.example.org")) << "the body names the cause: " << result.out;
  EXPECT_FALSE(has(wire, "marker-in-path")) << "nothing of the request left";
  EXPECT_TRUE(logged("sleep", "istio-proxy", " 503 URX,UF "));
}

}  // namespace
}  // namespace sallyport::behaviour
