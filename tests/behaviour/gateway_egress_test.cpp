// Scenario G11: traffic that leaves the mesh by an egress gateway, in all its forms.
#include <functional>

#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string egress = "istio-system/istio-egressgateway";
const std::string sleep_id = "from=\"spiffe://cluster.local/ns/default/sa/sleep\"";

class GatewayEgress : public Scenario {
protected:
  // The sample with certificates of this test; `rules`: a file of tests/behaviour/gateway in place
  // of the sample's own.
  void up_with(const std::string& rules = {}) {
    sandbox::Files more{{"certificates.yaml", certificates()},
                        {"more.yaml", text_of_file("tests/behaviour/gateway/g11-outside.yaml")}};
    if (!rules.empty()) more["rules.yaml"] = text_of_file("tests/behaviour/gateway/" + rules);
    up("egress-gateway", more);
  }

  // What crossed the links of `sleep` and of a server while `ask` ran once: a second request would
  // find connections that are open, and show no handshake.
  std::pair<std::string, std::string> captured_at_both_ends(const std::string& server,
                                                            const std::function<void()>& ask) {
    const std::string file = testing::TempDir() + "sallyport-server-" + std::to_string(getpid());
    auto capture = sandbox_->capture(server, file);
    EXPECT_TRUE(capture);
    if (!capture) return {};
    const auto inner = captured("sleep", ask);
    capture->stop();
    std::ostringstream outer;
    outer << std::ifstream(file, std::ios::binary).rdbuf();
    unlink(file.c_str());
    return {inner, outer.str()};
  }

  // Both of its addresses, and none of sleep's, in what the server has logged.
  void expect_only_the_gateway_in(const std::string& log) {
    const auto rows = sandbox_->status();
    ASSERT_TRUE(rows);
    bool seen = false;
    for (const auto& row : *rows) {
      const bool there = has(log, row.ipv4 + " ") || has(log, row.ipv6 + " ");
      if (row.name == "istio-egressgateway-1")
        seen = there;
      else
        EXPECT_FALSE(there) << row.name << ":\n" << log;
    }
    EXPECT_TRUE(seen) << log;
  }

  std::string certificates() const {
    const auto ca = mesh_.intermediate("Mesh CA");
    const auto site = [&](const std::string& secret, const std::vector<std::string>& names) {
      const auto issued = outside_.issue({.common_name = names.front(), .dns = names});
      return object(
          "Secret", "outside", secret,
          {{"tls.crt", issued.chain_pem}, {"tls.key", issued.key_pem}, {"ca.crt", outside_.pem()}});
    };
    const auto partner = outside_.issue({.common_name = "our-gateway"});
    std::string out = object("Secret", "istio-system", "cacerts",
                             {{"ca-cert.pem", ca.pem()},
                              {"ca-key.pem", ca.key_pem()},
                              {"cert-chain.pem", ca.pem() + mesh_.pem()},
                              {"root-cert.pem", mesh_.pem()}});
    for (const auto* space : {"default", "istio-system"}) {
      out += object("ConfigMap", space, "istio-ca-root-cert", {{"root-cert.pem", mesh_.pem()}});
      out += object("ConfigMap", space, "outside-ca", {{"ca.crt", outside_.pem()}});
    }
    return out + site("edition-certs", {"edition.cnn.com"}) +
           site("unlisted-certs", {"unlisted.example.net"}) +
           site("more-certs", {"*.example.org", "partner.example.com", "db.example.com"}) +
           object("Secret", "istio-system", "partner-credential",
                  {{"tls.crt", partner.chain_pem},
                   {"tls.key", partner.key_pem},
                   {"ca.crt", outside_.pem()}});
  }

  const test::Authority mesh_ = test::Authority::root("Mesh Root");
  const test::Authority outside_ = test::Authority::root("Outside Root");
};

TEST_F(GatewayEgress, G11_TheSampleSendsHttpByMutualTlsAndOriginatesTlsAtTheGateway) {
  up("egress-gateway");
  sandbox::CommandResult answer;
  const auto ask = [&] { answer = curl("sleep", {"-i", "http://edition.cnn.com/politics"}); };
  const auto [inner, outer] = captured_at_both_ends("outside/edition", ask);
  EXPECT_TRUE(has(answer.out, "HTTP/1.1 200 OK\r\n")) << answer.out << answer.err;
  EXPECT_TRUE(has(answer.out, "<body>edition.cnn.com/politics</body>")) << answer.out;
  EXPECT_TRUE(has(inner, "edition.cnn.com")) << "the SNI that the rule sets";
  EXPECT_TRUE(has(inner, "istio-http/1.1")) << "Istio's ALPN";
  EXPECT_FALSE(has(inner, "politics")) << "encrypted from the sidecar to the gateway";
  EXPECT_TRUE(has(outer, "edition.cnn.com")) << "the SNI of TLS from the gateway";
  EXPECT_FALSE(has(outer, "politics")) << "encrypted from the gateway to the outside";
  EXPECT_TRUE(logged("outside/edition", "nginx", "host=edition.cnn.com tls=TLSv1.3 sni=edition"));
  expect_only_the_gateway_in(logs("outside/edition", "nginx"));
  EXPECT_TRUE(logged(egress, "istio-proxy", sleep_id));
  EXPECT_TRUE(logged(egress, "istio-proxy", "cluster=\"outbound|443||edition.cnn.com\""));
  EXPECT_TRUE(logged("sleep", "istio-proxy",
                     "cluster=\"outbound|80|cnn|istio-egressgateway.istio-system.svc."));
}

TEST_F(GatewayEgress, G11_WhoIsNotOfTheMeshIsRefusedByTheGateway) {
  up_with();
  const auto refused =
      exec("outside/edition", {"curl", "-ksS", "-m", "10", "--connect-to",
                               "edition.cnn.com:443:istio-egressgateway.istio-system:80",
                               "https://edition.cnn.com/politics"});
  EXPECT_TRUE(refused_by_server(refused)) << refused.code << refused.out << refused.err;
  const auto plain =
      exec("outside/edition", {"curl", "-sS", "-m", "10", "-H", "Host: edition.cnn.com",
                               "http://istio-egressgateway.istio-system/politics"});
  EXPECT_TRUE(refused_by_server(plain) || plain.code == 52) << plain.code << plain.out;
  EXPECT_FALSE(has(logs("outside/edition", "nginx"), "politics"));
}

TEST_F(GatewayEgress, G11_TheGatewayShowsItsOwnCertificateToAPartner) {
  up_with("g11-partner.yaml");
  const auto answer = curl("sleep", {"http://partner.example.com/"});
  EXPECT_EQ(answer.out, "Welcome, CN=our-gateway\n") << answer.err << logs(egress, "istio-proxy");
  EXPECT_TRUE(logged("outside/more", "nginx", "sni=partner.example.com client=\"CN=our-gateway\""));
  expect_only_the_gateway_in(logs("outside/more", "nginx"));
  EXPECT_TRUE(logged(egress, "istio-proxy", sleep_id));
}

TEST_F(GatewayEgress, G11_TheAppsOwnTlsGoesThroughMutualTlsAsFarAsTheGateway) {
  up_with("g11-tls-in-mutual.yaml");
  sandbox::CommandResult answer;
  const auto wire = captured("sleep", [&] {
    answer = curl("sleep", {"-v", "https://edition.cnn.com/politics"});
  });
  EXPECT_TRUE(has(answer.out, "<body>edition.cnn.com/politics</body>"))
      << answer.out << answer.err << logs(egress, "istio-proxy") << logs("sleep", "istio-proxy");
  EXPECT_TRUE(has(answer.err, "issuer: CN=Outside Root")) << "the server's own certificate";
  EXPECT_TRUE(has(wire, "istio")) << "Istio's ALPN, of the outer connection";
  EXPECT_FALSE(has(wire, "politics"));
  EXPECT_TRUE(logged("outside/edition", "nginx", "GET /politics "));
  expect_only_the_gateway_in(logs("outside/edition", "nginx"));
  EXPECT_TRUE(logged(egress, "istio-proxy", sleep_id));
  EXPECT_TRUE(logged(egress, "istio-proxy", "sni=\"edition.cnn.com\""));
}

TEST_F(GatewayEgress, G11_AnyHostUnderAnAllowedWildcardIsFoundByItsSni) {
  up_with("g11-passthrough.yaml");
  for (const std::string host : {"one.example.org", "two.example.org"}) {
    const auto answer = curl("sleep", {"-v", "https://" + host + "/marker-in-path"});
    EXPECT_EQ(answer.out, "sni=" + host + "\n")
        << answer.err << logs(egress, "istio-proxy") << logs("sleep", "istio-proxy");
    EXPECT_TRUE(has(answer.err, "issuer: CN=Outside Root")) << "the server's own certificate";
    EXPECT_TRUE(logged("outside/more", "nginx", "sni=" + host));
    EXPECT_TRUE(logged(egress, "istio-proxy", "sni=\"" + host + "\""));
  }
  expect_only_the_gateway_in(logs("outside/more", "nginx"));
  const auto other = curl("sleep", {"-k", "https://unlisted.example.net/"});
  EXPECT_NE(other.code, 0) << "the mesh is REGISTRY_ONLY: " << other.out;
  const auto direct =
      curl("sleep", {"-k", "--connect-to", "unlisted.example.net:443:one.example.org:443",
                     "https://unlisted.example.net/"});
  EXPECT_NE(direct.code, 0) << "not under the wildcard: " << direct.out;
  EXPECT_FALSE(has(logs("outside/more", "nginx"), "unlisted"));
}

TEST_F(GatewayEgress, G11_TlsIsOriginatedAtTheGatewayForPlainTcp) {
  up_with("g11-tcp.yaml");
  const std::string talk =
      "import socket\ns=socket.create_connection(('db.example.com',5432),5)\ns.settimeout(10)\n"
      "s.sendall(b'marker-of-the-query')\nprint(s.recv(100).decode())";
  sandbox::CommandResult answer;
  const auto ask = [&] { answer = exec("sleep", {"timeout", "20", "python3", "-c", talk}); };
  const auto [inner, outer] = captured_at_both_ends("outside/more", ask);
  EXPECT_EQ(answer.out, "row of marker-of-the-query\n")
      << answer.err << logs(egress, "istio-proxy") << logs("sleep", "istio-proxy");
  EXPECT_TRUE(has(inner, "db.example.com")) << "the SNI that the rule sets";
  EXPECT_FALSE(has(inner, "marker-of-the-query")) << "encrypted from the sidecar to the gateway";
  EXPECT_TRUE(has(outer, "db.example.com")) << "the SNI of TLS from the gateway";
  EXPECT_FALSE(has(outer, "marker-of-the-query")) << "encrypted from the gateway to the outside";
  EXPECT_TRUE(logged("outside/more", "database", " TLSv1.3 marker-of-the-query"));
  expect_only_the_gateway_in(logs("outside/more", "database"));
  EXPECT_TRUE(logged(egress, "istio-proxy", sleep_id));
  EXPECT_TRUE(logged(egress, "istio-proxy", "cluster=\"outbound|5432||db.example.com\""));
}

}  // namespace
}  // namespace sallyport::behaviour
