// Scenarios G1 to G6: an ingress gateway's servers by protocol, host and certificate.
#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

using Gateway = GatewayScenario;

const std::string webapp = "webapp.istioinaction.io", catalog = "catalog.istioinaction.io";
const std::string ca = "/etc/ca/ca.crt";

TEST_F(Gateway, G1_AHostOfTheServerIsRoutedAndAnyOtherIs404) {
  up("ingress-http");
  const auto answer = http(webapp, {"-H", "X-Forwarded-For: 203.0.113.7"}, "/api/catalog");
  EXPECT_TRUE(has(answer.out, "the catalog\nhost=webapp.istioinaction.io\n")) << answer.out;
  EXPECT_TRUE(has(answer.out, "xff=203.0.113.7,198.18.")) << "the client's address is appended";
  EXPECT_TRUE(has(answer.out, "proto=http\n")) << answer.out;
  EXPECT_TRUE(has(http("other.example.org", {"-i"}, "/api/catalog").out, "HTTP/1.1 404 Not Found"));
  EXPECT_TRUE(gateway_logged("\"GET /api/catalog HTTP/1.1\" 200 - via_upstream - "));
  EXPECT_TRUE(gateway_logged(" outbound|80||webapp.default.svc.cluster.local "));
  EXPECT_TRUE(gateway_logged("\"GET /api/catalog HTTP/1.1\" 404 NR route_not_found - "));
}

TEST_F(Gateway, G1_ThePortOfTheServiceIsMappedToTheOneThatIsListenedOn) {
  up("ingress-http");
  ASSERT_FALSE(gateway().empty());
  const auto pod = curl("client", {"-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: " + webapp,
                                   "http://istio-ingressgateway.istio-system/api/catalog"});
  EXPECT_EQ(pod.out, "200");
  EXPECT_TRUE(gateway_logged("listening on 0.0.0.0:8080 for Gateway default/coolstore-gateway"));
  EXPECT_TRUE(gateway_logged("listening on [::]:8080 for Gateway default/coolstore-gateway"));
}

TEST_F(Gateway, G2_TlsEndsAtTheGatewayAndOnlyThere) {
  up("ingress-simple");
  sandbox::CommandResult answer;
  const auto wire = captured("client", [&] {
    answer = https(webapp, {"--cacert", ca, "-w", "%{http_code}"}, "/api/catalog");
  });
  EXPECT_TRUE(has(answer.out, "the catalog\nhost=webapp.istioinaction.io\n"))
      << answer.out << answer.err;
  EXPECT_TRUE(has(answer.out, "proto=https\n")) << answer.out;
  EXPECT_TRUE(answer.out.ends_with("200")) << answer.out;
  EXPECT_TRUE(has(wire, webapp)) << "the SNI of a ClientHello";
  EXPECT_FALSE(has(wire, "the catalog")) << "encrypted on the wire";
  EXPECT_FALSE(has(wire, "/api/catalog")) << "encrypted on the wire";
  EXPECT_TRUE(gateway_logged(":8443 198.18."));
  EXPECT_TRUE(gateway_logged(" webapp.istioinaction.io -\n")) << "the SNI in the log";
}

TEST_F(Gateway, G2_AClientWithoutTheCaRefusesTheGatewaysCertificate) {
  up("ingress-simple");
  const auto answer = https(webapp, {}, "/api/catalog");
  EXPECT_EQ(answer.code, 60) << answer.err;
  EXPECT_TRUE(has(answer.err, "unable to get local issuer certificate")) << answer.err;
}

TEST_F(Gateway, G2_AnSniThatNoServerHasIsClosedInTheHandshake) {
  up("ingress-simple");
  EXPECT_TRUE(refused_by_server(https("other.istioinaction.io", {"-k"})));
  const auto none = s_client("-noservername");
  EXPECT_TRUE(has(none, "no peer certificate available")) << none;
  EXPECT_TRUE(gateway_logged(" NR filter_chain_not_found "));
}

TEST_F(Gateway, G3_HttpsRedirectAnswers301ForEveryPathOfItsHosts) {
  up("ingress-simple");
  const auto answer = http(webapp, {"-i"}).out;
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 301 Moved Permanently\r\n")) << answer;
  EXPECT_TRUE(has(answer, "\r\nlocation: https://webapp.istioinaction.io/\r\n")) << answer;
  const auto deep = http(webapp, {"-i", "-X", "POST"}, "/api/a?b=c").out;
  EXPECT_TRUE(has(deep, "\r\nlocation: https://webapp.istioinaction.io/api/a?b=c\r\n")) << deep;
  EXPECT_TRUE(has(http("other.example.org", {"-i"}).out, "HTTP/1.1 404 Not Found"));
  const auto followed =
      curl("client", {"-L", "--cacert", ca, "--resolve", webapp + ":443:" + gateway(), "--resolve",
                      webapp + ":80:" + gateway(), "http://" + webapp + "/api/catalog"});
  EXPECT_TRUE(has(followed.out, "proto=https\n")) << followed.out << followed.err;
}

TEST_F(Gateway, G4_EachHostHasItsOwnCertificateAndBackendOnOnePort) {
  up("ingress-many-certs");
  const std::vector<std::string> webapp_ca = {"--cacert", "/etc/ca/webapp.crt"};
  const std::vector<std::string> catalog_ca = {"--cacert", "/etc/ca/catalog.crt"};
  EXPECT_TRUE(has(https(webapp, webapp_ca, "/api/catalog").out, "host=" + webapp + "\n"));
  EXPECT_EQ(https(catalog, catalog_ca, "/api/catalog").out, "the catalog itself\n");
  EXPECT_EQ(https(webapp, catalog_ca).code, 60) << "the other's CA";
  EXPECT_EQ(https(catalog, webapp_ca).code, 60) << "the other's CA";
  EXPECT_TRUE(refused_by_server(https("other.istioinaction.io", {"-k"})));
  EXPECT_TRUE(gateway_logged(" outbound|80||catalog.default.svc.cluster.local "));
}

TEST_F(Gateway, G4_TheHostOfAnotherServerThanTheSnisIsNotFound) {
  up("ingress-many-certs");
  const auto answer =
      https(catalog, {"-i", "--cacert", "/etc/ca/catalog.crt", "-H", "Host: " + webapp},
            "/api/catalog")
          .out;
  EXPECT_TRUE(has(answer, "HTTP/1.1 404 Not Found")) << answer;
  EXPECT_FALSE(has(logs("webapp", "webapp"), "GET /api/catalog"));
}

TEST_F(Gateway, G5_TcpGoesThroughAsItIsAndHalfCloseWorks) {
  up("ingress-tcp");
  const std::string talk = R"(
import socket, sys
s = socket.create_connection((sys.argv[1], 31400), 5)
s.settimeout(10)
answers = s.makefile("r")
for word in "one", "two":
    s.sendall((word + "\n").encode())
    print(answers.readline(), end="")
s.sendall(b"x" * 300000 + b"\n")
s.shutdown(socket.SHUT_WR)
rest = answers.read()
print(len(rest), rest[-20:], end="")
)";
  const auto said = exec("client", {"timeout", "20", "python3", "-c", talk, gateway()});
  EXPECT_EQ(said.out, "echo one\necho two\n300024 x\n300009 bytes, bye\n") << said.err;
  EXPECT_TRUE(gateway_logged("\"- - -\" 0 - - - \"-\" 300009 "));
  EXPECT_TRUE(gateway_logged(" outbound|2701||tcp-echo-service.default.svc.cluster.local "));
}

TEST_F(Gateway, G6_TlsIsPassedThroughBySni) {
  up("ingress-sni-passthrough");
  const std::string host = "simple-sni-1.istioinaction.io";
  sandbox::CommandResult answer;
  const auto wire = captured("client", [&] {
    answer = https(host, {"-v", "--cacert", ca}, "/marker-in-path", 31400);
  });
  EXPECT_TRUE(has(answer.out, "simple-tls-service-1 over ")) << answer.out << answer.err;
  EXPECT_TRUE(has(answer.err, "issuer: O=example Inc.; CN=backend-ca")) << answer.err;
  EXPECT_FALSE(has(wire, "marker-in-path"));
  const auto backend = captured("simple-tls-service-1", [&] {
    https(host, {"--cacert", ca}, "/marker-in-path", 31400);
  });
  EXPECT_TRUE(has(backend, host)) << "the client's own ClientHello reaches the server";
  EXPECT_FALSE(has(backend, "marker-in-path")) << "encrypted behind the gateway as well";
  EXPECT_TRUE(gateway_logged(" simple-sni-1.istioinaction.io "));
}

TEST_F(Gateway, G6_AnyOtherSniIsClosed) {
  up("ingress-sni-passthrough");
  EXPECT_TRUE(refused_by_server(https("simple-sni-2.istioinaction.io", {"-k"}, "/", 31400)));
  const auto none = s_client("-noservername", 31400);
  EXPECT_TRUE(has(none, "no peer certificate available")) << none;
  EXPECT_TRUE(refused_by_server(
      curl("client", {"http://" + gateway() + ":31400/", "-H", "Host: a", "-o", "/dev/null"})))
      << "no TLS";
  EXPECT_TRUE(gateway_logged(" NR filter_chain_not_found "));
  EXPECT_FALSE(has(logs("simple-tls-service-1", "simple-tls-service-1"), "GET"));
}

}  // namespace
}  // namespace sallyport::behaviour
