// Scenarios G7 to G9 and G12: how a gateway ends TLS, or passes it through, and whom it lets in.
#include <regex>

#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string blog = "blog.danielstechblog.de", nginx = "nginx.tls.danielstechblog.de";
const std::string frontend = "frontend.foocorp.com", inventory = "inventory.foocorp.com";

class GatewayTls : public GatewayScenario {
protected:
  // Of the sample ingress-terminate-and-passthrough: whose certificate is shown, by SNI.
  void expect_terminated(int port) {
    const auto answer =
        https(blog, {"-v", "--cacert", "/etc/ca/gateway.crt"}, "/marker-in-path", port);
    EXPECT_EQ(answer.out, "blog, proto=https\n") << answer.err;
    EXPECT_TRUE(has(answer.err, "issuer: O=example Inc.; CN=gateway-ca")) << answer.err;
  }
  void expect_passed(int port) {
    const auto answer =
        https(nginx, {"-v", "--cacert", "/etc/ca/backend.crt"}, "/marker-in-path", port);
    EXPECT_TRUE(has(answer.out, "my-nginx over ")) << answer.out << answer.err;
    EXPECT_TRUE(has(answer.err, "issuer: O=example Inc.; CN=backend-ca")) << answer.err;
  }

  // curl with the CA of `host`'s certificate, and the client certificate that is kept under /etc.
  sandbox::CommandResult with_certificate(const std::string& host, const std::string& client,
                                          const std::string& path = "/") {
    const std::string own = "/etc/" + host.substr(0, host.find('.')) + "/ca.crt";
    std::vector<std::string> words = {"-i", "--cacert", own};
    const std::string at = "/etc/" + client;
    if (!client.empty())
      words.insert(words.end(), {"--cert", at + "/tls.crt", "--key", at + "/tls.key"});
    return https(host, words, path);
  }
};

TEST_F(GatewayTls, G7_OnePortIsTerminatedAnotherPassedThrough) {
  up("ingress-terminate-and-passthrough");
  expect_terminated(443);
  const auto wire = captured("nginx/my-nginx", [&] { expect_passed(10443); });
  EXPECT_TRUE(has(wire, nginx)) << "the client's own ClientHello";
  EXPECT_FALSE(has(wire, "marker-in-path")) << "encrypted behind the gateway as well";
  const auto behind = captured("blog", [&] { expect_terminated(443); });
  EXPECT_TRUE(has(behind, "marker-in-path")) << "no TLS behind the gateway that ended it";
  const auto redirect = http(blog, {"-i"}, "/a").out;
  EXPECT_TRUE(has(redirect, "HTTP/1.1 301 Moved Permanently\r\n")) << redirect;
  EXPECT_TRUE(has(redirect, "location: https://blog.danielstechblog.de/a\r\n")) << redirect;
  // Service ports 443 and 10443 both have targetPort 8443.
  EXPECT_TRUE(gateway_logged("listening on 0.0.0.0:8443 "));
  EXPECT_EQ(count(gateway_log(), "listening on 0.0.0.0:"), 2) << gateway_log();
}

TEST_F(GatewayTls, G7b_BothOnOnePortAreToldApartByTheirFullNames) {
  up("ingress-terminate-and-passthrough",
     {{"rules.yaml", text_of_file("tests/behaviour/gateway/g7b-one-port.yaml")}});
  expect_terminated(443);
  expect_passed(443);
  EXPECT_TRUE(refused_by_server(https("other.danielstechblog.de", {"-k"})));
}

TEST_F(GatewayTls, G7c_TheSameWildcardOnOnePortIsAnErrorThatNamesBothServers) {
  up("ingress-terminate-and-passthrough",
     {{"rules.yaml", text_of_file("tests/behaviour/gateway/g7c-same-wildcard.yaml")}});
  EXPECT_TRUE(gateway_logged("server tls-passthrough is skipped: IST0145: "));
  EXPECT_TRUE(gateway_logged("(/etc/istio/config/rules.yaml:11)"));
  expect_terminated(443);
  const auto found = sallyport({"analyze", "/etc/istio/config"});
  EXPECT_EQ(found.code, 79) << found.out << found.err;
  std::smatch line;
  ASSERT_TRUE(
      std::regex_search(found.out, line, std::regex("Error \\[IST0145\\] [^\n]*(\n    [^\n]*)*")))
      << found.out;
  const std::string said = line[0];
  for (const auto* part :
       {"*.danielstechblog.de", "tls-passthrough", "rules.yaml:20", "https", "rules.yaml:11"})
    EXPECT_TRUE(has(said, part)) << part << ": " << said;
}

TEST_F(GatewayTls, G8_EachHostTakesTheCertificatesOfItsOwnCaOnly) {
  up("ingress-mutual");
  const auto answer = with_certificate(frontend, "frontend");
  EXPECT_TRUE(has(answer.out, "HTTP/1.1 200 OK")) << answer.out << answer.err;
  EXPECT_TRUE(has(answer.out, "Welcome to the frontend\n")) << answer.out;
  EXPECT_TRUE(has(with_certificate(inventory, "inventory").out, "Welcome to the inventory\n"));
  EXPECT_TRUE(refused_by_server(with_certificate(frontend, "")));
  EXPECT_TRUE(refused_by_server(with_certificate(inventory, "")));
  EXPECT_TRUE(refused_by_server(with_certificate(frontend, "inventory")));
  EXPECT_TRUE(refused_by_server(with_certificate(inventory, "frontend")));
  const auto other = with_certificate(frontend, "frontend", "/other").out;
  EXPECT_TRUE(has(other, "HTTP/1.1 404 Not Found")) << other;
  EXPECT_EQ(count(logs("ux/frontend", "frontend"), "GET "), 1) << "nothing of what was refused";
}

TEST_F(GatewayTls, G8_TheClientsCertificateIsForwardedAndAForgedOneIsNot) {
  up("ingress-mutual");
  const auto forged =
      https(frontend, {"--cacert", "/etc/frontend/ca.crt", "--cert", "/etc/frontend/tls.crt",
                       "--key", "/etc/frontend/tls.key", "-H",
                       "X-Forwarded-Client-Cert: Hash=0;Subject=\"CN=admin\""});
  EXPECT_TRUE(has(forged.out, "\nxfcc=Hash=")) << forged.out;
  EXPECT_TRUE(has(forged.out, ";Cert=\"-----BEGIN%20CERTIFICATE-----")) << forged.out;
  EXPECT_TRUE(has(forged.out,
                  ";Subject=\"O=some organization,CN=client.frontend.foocorp.com\";"
                  "DNS=client.frontend.foocorp.com\n"))
      << forged.out;
  EXPECT_FALSE(has(forged.out, "admin")) << forged.out;
}

TEST_F(GatewayTls, G8_ARefusedHandshakeIsLoggedWithItsReason) {
  up("ingress-mutual");
  with_certificate(frontend, "");
  with_certificate(frontend, "inventory");
  EXPECT_TRUE(gateway_logged(
      "TLS_error:_PEER_DID_NOT_RETURN_A_CERTIFICATE:_the_client_showed_no_certificate"));
  EXPECT_TRUE(gateway_logged("CERTIFICATE_VERIFY_FAILED"));
  EXPECT_TRUE(gateway_logged(" frontend.foocorp.com -\n")) << "the SNI";
}

TEST_F(GatewayTls, G8b_ASecretThatComesLaterGoesLiveWithoutARestart) {
  const auto all = text_of_file("deploy/samples/ingress-mutual/certificates.yaml");
  const std::string name = "name: inventory-credential";
  auto without = all;
  ASSERT_TRUE(has(without, name));
  without.replace(without.find(name), name.size(), "name: not-there-yet");
  up("ingress-mutual", {{"certificates.yaml", without}});
  EXPECT_TRUE(refused_by_server(with_certificate(inventory, "inventory")));
  EXPECT_TRUE(gateway_logged("kubernetes://inventory-credential"));
  EXPECT_TRUE(has(with_certificate(frontend, "frontend").out, "Welcome to the frontend\n"))
      << "the others on the port are served";
  EXPECT_TRUE(std::regex_search(sallyport({"proxy-config", "secret"}).out,
                                std::regex("\nkubernetes://inventory-credential +WARMING +false")))
      << sallyport({"proxy-config", "secret"}).out;

  apply("certificates.yaml", all);
  EXPECT_TRUE(soon([&] {
    return has(with_certificate(inventory, "inventory").out, "Welcome to the inventory\n");
  })) << gateway_log();
  EXPECT_TRUE(gateway_logged("kubernetes://inventory-credential: key/cert pair went live"))
      << gateway_log();
  EXPECT_EQ(count(gateway_log(), "\tready: "), 1) << "no restart";
}

// The gateway of sample ingress-http with a Secret of its namespace mounted in its proxy.
std::string gateway_with(const std::string& secret, const std::string& path) {
  auto text = text_of_file("deploy/samples/ingress-http/gateway.yaml");
  return text + "        volumeMounts: [{name: more, mountPath: " + path +
         "}]\n      volumes: [{name: more, secret: {secretName: " + secret + "}}]\n";
}

TEST_F(GatewayTls, G9_FilesOfTheGatewaysPodAreServedAndFollowed) {
  const auto ca = test::Authority::root("frontend-ca"), other = test::Authority::root("other-ca");
  const auto files = [&](const test::Issued& server, const test::Authority& clients) {
    return object(
        "Secret", "istio-system", "frontend-files",
        {{"tls.crt", server.chain_pem}, {"tls.key", server.key_pem}, {"ca.crt", clients.pem()}});
  };
  const auto client = [&](const std::string& name, const test::Authority& signer) {
    const auto issued = signer.issue({.common_name = name});
    return object(
        "Secret", "default", name + "-client",
        {{"tls.crt", issued.chain_pem}, {"tls.key", issued.key_pem}, {"ca.crt", ca.pem()}});
  };
  const auto clients = client("frontend", ca) + client("inventory", other);
  const auto old_server = ca.issue({.common_name = frontend, .dns = {frontend}});
  const auto new_server = ca.issue({.common_name = frontend, .dns = {frontend}});
  up("ingress-mutual", {{"rules.yaml", text_of_file("tests/behaviour/gateway/g9-files.yaml")},
                        {"gateway.yaml", gateway_with("frontend-files", "/etc/frontend")},
                        {"certificates.yaml", clients + files(old_server, ca)}});
  EXPECT_TRUE(has(with_certificate(frontend, "frontend").out, "Welcome to the frontend\n"));
  EXPECT_TRUE(refused_by_server(with_certificate(frontend, "")));
  EXPECT_TRUE(refused_by_server(with_certificate(frontend, "inventory")));
  EXPECT_TRUE(has(with_certificate(frontend, "frontend", "/other").out, "404 Not Found"));

  apply("certificates.yaml", clients + files(new_server, other));
  EXPECT_TRUE(soon([&] {
    return has(with_certificate(frontend, "inventory").out, "Welcome to the frontend\n");
  })) << gateway_log();
  EXPECT_TRUE(refused_by_server(with_certificate(frontend, "frontend")));
  EXPECT_EQ(shown_serial(frontend), serial_text(new_server));
  EXPECT_EQ(count(gateway_log(), "\tready: "), 1) << "no restart";
}

// The gateway with an identity of the mesh, and the servers of gateway/g12-modes.yaml.
class GatewayModes : public GatewayScenario {
protected:
  void SetUp() override {
    const auto server = ca_.issue({.common_name = "server", .dns = {"*.example.com"}});
    const auto app = ca_.issue({.common_name = "tls-app", .dns = {"tls-app"}});
    const auto gateway = mesh_.issue(
        {.common_name = "", .uris = {"spiffe://cluster.local/ns/istio-system/sa/default"}});
    up("ingress-http",
       {{"rules.yaml", text_of_file("tests/behaviour/gateway/g12-modes.yaml")},
        {"mesh.yaml",
         object("ConfigMap", "istio-system", "istio", {{"mesh", "accessLogFile: /dev/stdout\n"}})},
        {"gateway.yaml", gateway_with("identity", "/var/run/secrets/workload-spiffe-credentials")},
        {"certificates.yaml",
         object(
             "Secret", "istio-system", "server",
             {{"tls.crt", server.chain_pem}, {"tls.key", server.key_pem}, {"ca.crt", ca_.pem()}}) +
             object("Secret", "default", "tls-app",
                    {{"tls.crt", app.chain_pem}, {"tls.key", app.key_pem}}) +
             object("Secret", "istio-system", "identity",
                    {{"certificates.pem", gateway.chain_pem},
                     {"private_key.pem", gateway.key_pem},
                     {"ca_certificates.pem", mesh_.pem()}})}});
  }

  // What was agreed on: "TLSv1.3, TLS_AES_256_GCM_SHA384"; empty: nothing.
  std::string agreed(const std::string& host, const std::string& more = {}, int port = 443) {
    const auto said = s_client("-servername " + host + ".example.com " + more, port);
    std::smatch found;
    const std::regex line("\nNew, (TLSv1[.0-9]*), Cipher is ([A-Z0-9_-]+)\n");
    if (!std::regex_search(said, found, line)) return "";
    std::smatch protocol;
    const std::regex version("\n *Protocol +: (TLSv1[.0-9]*)\n");
    const bool exact = std::regex_search(said, protocol, version);
    return (exact ? protocol[1] : found[1]).str() + ", " + found[2].str();
  }

  // As a client with that certificate; it lies in the pod under /tmp.
  std::string certificate_of(const test::Issued& issued, const std::string& name) {
    write_file("/tmp/" + name + ".crt", issued.chain_pem);
    write_file("/tmp/" + name + ".key", issued.key_pem);
    return "-cert /tmp/" + name + ".crt -key /tmp/" + name + ".key";
  }
  sandbox::CommandResult ask(const std::string& host, const std::string& certificate = {}) {
    std::vector<std::string> words = {"-k"};
    const std::string at = "/tmp/" + certificate;
    if (!certificate.empty())
      words.insert(words.end(), {"--cert", at + ".crt", "--key", at + ".key"});
    return https(host + ".example.com", words, "/api/catalog");
  }
  std::string pod_address() {
    const auto rows = sandbox_->status();
    if (!rows) return "";
    for (const auto& row : *rows)
      if (row.name == "istio-ingressgateway-1") return row.ipv4;
    return "";
  }

  const test::Authority ca_ = test::Authority::root("Server Root");
  const test::Authority mesh_ = test::Authority::root("Mesh Root");
};

TEST_F(GatewayModes, G12_TheProtocolVersionsAreThoseOfTheServer) {
  EXPECT_TRUE(agreed("usual").starts_with("TLSv1.3, ")) << agreed("usual");
  EXPECT_TRUE(agreed("usual", "-tls1_2").starts_with("TLSv1.2, ")) << agreed("usual", "-tls1_2");
  const std::string old = " -cipher ALL:@SECLEVEL=0";
  EXPECT_EQ(agreed("usual", "-tls1_1" + old), "") << "TLS 1.2 is the lowest unless it is set";
  EXPECT_EQ(agreed("old", "-tls1_1" + old), "TLSv1.1, ECDHE-ECDSA-AES128-SHA");
  EXPECT_EQ(agreed("old", "-tls1" + old), "TLSv1, ECDHE-ECDSA-AES128-SHA");
  EXPECT_TRUE(agreed("lowest").starts_with("TLSv1.3, "));
  EXPECT_EQ(agreed("lowest", "-tls1_2"), "");
  EXPECT_TRUE(agreed("highest").starts_with("TLSv1.2, "));
  EXPECT_EQ(agreed("highest", "-tls1_3"), "");
  EXPECT_TRUE(gateway_logged("TLS_error:_UNSUPPORTED_PROTOCOL")) << gateway_log();
}

TEST_F(GatewayModes, G12_TheCipherSuitesAreThoseOfTheServer) {
  EXPECT_EQ(agreed("ciphers"), "TLSv1.2, ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_EQ(agreed("ciphers", "-cipher ECDHE-ECDSA-AES128-GCM-SHA256"), "");
  EXPECT_EQ(agreed("highest", "-cipher ECDHE-ECDSA-AES128-GCM-SHA256"),
            "TLSv1.2, ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_EQ(agreed("highest", "-cipher ECDHE-ECDSA-AES128-SHA"), "") << "not among Envoy's own";
}

TEST_F(GatewayModes, G12_OptionalMutualTakesNoCertificateOrAGoodOne) {
  certificate_of(ca_.issue({.common_name = "good"}), "good");
  certificate_of(mesh_.issue({.common_name = "bad"}), "bad");
  EXPECT_TRUE(has(ask("optional").out, "\nxfcc=\n")) << ask("optional").out;
  EXPECT_TRUE(has(ask("optional", "good").out, ";Subject=\"CN=good\""))
      << ask("optional", "good").out;
  EXPECT_TRUE(refused_by_server(ask("optional", "bad")));
}

TEST_F(GatewayModes, G12_IstioMutualTakesWorkloadsOfTheMeshOnly) {
  const std::string sleep = "spiffe://cluster.local/ns/default/sa/sleep";
  certificate_of(mesh_.issue({.common_name = "", .uris = {sleep}}), "sleep");
  certificate_of(ca_.issue({.common_name = "stranger", .uris = {sleep}}), "stranger");
  const auto answer = ask("mesh", "sleep");
  EXPECT_TRUE(has(answer.out, "the catalog\n")) << answer.out << answer.err;
  EXPECT_TRUE(has(answer.out, ";URI=" + sleep + "\n")) << answer.out;
  EXPECT_TRUE(refused_by_server(ask("mesh")));
  EXPECT_TRUE(refused_by_server(ask("mesh", "stranger")));
  write_file("/tmp/mesh-root.crt", mesh_.pem());
  const auto shown = s_client("-servername mesh.example.com -CAfile /tmp/mesh-root.crt");
  EXPECT_TRUE(has(shown, "Verify return code: 0 (ok)") || has(shown, "Verification: OK"))
      << "the gateway's certificate of the mesh: " << shown;
}

TEST_F(GatewayModes, G12_AutoPassthroughSendsMeshTlsToTheServiceThatItsSniNames) {
  const auto ask_for = [&](const std::string& service, const std::string& more) {
    return exec("client", {"sh", "-c",
                           "timeout 10 openssl s_client -connect " + pod_address() +
                               ":15443 -servername outbound_.443_._." + service + " " + more +
                               " </dev/null 2>&1"})
        .out;
  };
  const std::string app = "tls-app.default.svc.cluster.local";
  EXPECT_TRUE(has(ask_for(app, "-alpn istio,http/1.1"), "subject=CN = tls-app"))
      << ask_for(app, "-alpn istio,http/1.1");
  EXPECT_FALSE(has(ask_for(app, ""), "subject=")) << "whoever does not offer Istio's ALPN";
  EXPECT_FALSE(has(ask_for("other.default.svc.cluster.local", "-alpn istio,http/1.1"), "subject="));
}

}  // namespace
}  // namespace sallyport::behaviour
