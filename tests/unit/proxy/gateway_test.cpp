// The way through a gateway: which server takes a connection, what the application is told of the
// client, and who is turned away (istio-api.md 1.5, 2.14, 3.5, 7).
#include <netinet/tcp.h>
#include <poll.h>

#include "tests/unit/proxy/gateway_fixture.h"
#include "tests/unit/sniff/hello_bytes.h"

namespace sallyport::proxy {
namespace {

std::string request(const std::string& host, const std::string& more = "",
                    const std::string& path = "/") {
  return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n";
}

TEST_F(GatewayTest, TellsTheApplicationWhoTheClientIsAndDropsWhatAnOutsiderClaims) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  auto client = connect();
  client.send(request("a.com",
                      "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
                      "X-Request-Id: mine\r\nX-Envoy-Max-Retries: 9\r\n"
                      "X-Forwarded-Client-Cert: URI=spiffe://x\r\nx-own: kept\r\n"));
  auto app = upstream_.accept();
  const auto head = app.read_head();
  EXPECT_TRUE(has(head, "x-forwarded-for: 203.0.113.7,198.18.0.9\r\n"))
      << "the client is on this host, so that the gateway names itself: " << head;
  EXPECT_TRUE(has(head, "x-forwarded-proto: http\r\n")) << head;
  EXPECT_TRUE(has(head, "x-request-id: ") && !has(head, "mine")) << head;
  EXPECT_FALSE(has(head, "etries") || has(head, "spiffe://x") || has(head, "203.0.113.7\r\n"))
      << head;
  EXPECT_TRUE(has(head, "x-envoy-external-address: 127.0.0.1\r\n")) << head;
  EXPECT_TRUE(has(head, "x-envoy-attempt-count: 1\r\n")) << head;
  EXPECT_TRUE(has(head, "x-own: kept\r\n")) << head;
  app.send(hello);
  const auto answer = client.read_until("hello");
  EXPECT_TRUE(has(answer, "server: istio-envoy\r\n")) << answer;
  client.close();
  const auto log = log_text();
  EXPECT_TRUE(has(log, "\"GET / HTTP/1.1\" 200 - via_upstream")) << log;
  EXPECT_TRUE(has(log, "\"203.0.113.7,198.18.0.9\"")) << log;
}

TEST_F(GatewayTest, BelievesTheProxiesInFrontThatItIsToldOf) {
  istio::MeshConfig mesh;
  mesh.default_config.gateway_topology.trusted_proxies = 2;
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()), mesh);
  auto client = connect();
  client.send(request("a.com",
                      "X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.1\r\n"
                      "X-Forwarded-Proto: https\r\n"));
  auto app = upstream_.accept();
  const auto head = app.read_head();
  EXPECT_TRUE(has(head, "x-envoy-external-address: 203.0.113.7\r\n")) << head;
  EXPECT_TRUE(has(head, "X-Forwarded-Proto: https\r\n")) << head;
}

TEST_F(GatewayTest, AnswersAHostThatNobodyHasWith404) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  auto client = connect();
  client.send(request("b.com"));
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 404 Not Found\r\n"));
  client.close();
  EXPECT_TRUE(has(log_text(), " 404 NR route_not_found "));
}

TEST_F(GatewayTest, RedirectsToHttpsAndKeepsThePortThatTheClientWrote) {
  serve(server("HTTP", "a.com", "httpsRedirect: true"), behind("a.com", http_to_app()));
  auto client = connect();
  client.send(request("a.com:80", "", "/x?y=1"));
  const auto head = client.read_head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 301 Moved Permanently\r\n")) << head;
  EXPECT_TRUE(has(head, "location: https://a.com:80/x?y=1\r\n")) << head;
}

TEST_F(GatewayTest, RulesSeeWhatTheGatewayMakesOfTheRequestNotWhatItsSenderClaims) {
  serve(server("HTTP", "a.com"),
        behind("a.com",
               "  http:\n  - match: [{headers: {x-forwarded-proto: {exact: https}}}]\n"
               "    directResponse: {status: 418}\n  - route: " +
                   to_app()));
  auto client = connect();
  client.send(request("a.com", "x-forwarded-proto: https\r\n"));
  accept_request().send(hello);
  EXPECT_TRUE(has(client.read_until("hello"), "200 OK"));
}

TEST_F(GatewayTest, WhatARuleSetsOfTheClientsHeadersStays) {
  serve(server("HTTP", "a.com"),
        behind("a.com",
               "  http:\n  - headers: {request: {set: {x-forwarded-proto: told}}}\n"
               "    route: " +
                   to_app()));
  auto client = connect();
  client.send(request("a.com"));
  auto app = upstream_.accept();
  const auto head = app.read_head();
  EXPECT_TRUE(has(head, "x-forwarded-proto: told\r\n") && !has(head, "x-forwarded-proto: http\r\n"))
      << head;
  EXPECT_TRUE(has(head, "x-forwarded-for: ")) << head;
}

TEST_F(GatewayTest, EndsTlsAndServesTheHostsOfThatServerOnly) {
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a") +
            server("HTTPS", "b.com", "mode: SIMPLE, credentialName: b"),
        behind("a.com, b.com", http_to_app()));
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}));
  give_secret("b", root_.issue({.common_name = "b", .dns = {"b.com"}}));
  auto client = connect_by_tls("a.com", {.alpn = {"h2", "http/1.1"}});
  ASSERT_TRUE(client.handshake());
  EXPECT_EQ(client.alpn(), "http/1.1");
  client.send(request("a.com"));
  auto app = upstream_.accept();
  EXPECT_TRUE(has(app.read_head(), "x-forwarded-proto: https\r\n"));
  app.send(hello);
  client.read_until("hello");
  client.send(request("b.com"));
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 404 "));
  app.close();
  const auto log = log_text();
  EXPECT_TRUE(has(log, " a.com -\n")) << "the SNI: " << log;
}

TEST_F(GatewayTest, AServerWithoutItsSecretRefusesItsOwnHandshakesAndNoOther) {
  log_format_ = "%REQUESTED_SERVER_NAME% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n";
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a") +
            server("HTTPS", "b.com", "mode: SIMPLE, credentialName: b"),
        behind("a.com, b.com", http_to_app()));
  give_secret("b", root_.issue({.common_name = "b", .dns = {"b.com"}}));
  EXPECT_FALSE(connect_by_tls("a.com").handshake());
  EXPECT_TRUE(connect_by_tls("b.com").handshake());
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}));
  EXPECT_TRUE(connect_by_tls("a.com").handshake()) << "it came";
  const auto log = log_text();
  EXPECT_TRUE(has(log, "a.com server_https.")) << log;
  EXPECT_TRUE(has(log, ".gw.default_has_no_certificate_(kubernetes://a);_Gateway_default/gw_"))
      << log;
}

TEST_F(GatewayTest, MutualTlsShowsTheUpstreamTheClientsCertificate) {
  serve(server("HTTPS", "a.com", "mode: MUTUAL, credentialName: a"),
        behind("a.com", http_to_app()));
  const auto clients = test::Authority::root("Client Root");
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}), &clients);
  auto client = connect_by_tls(
      "a.com", {.certificate = clients.issue({.common_name = "c", .dns = {"c.example.com"}})});
  ASSERT_TRUE(client.handshake());
  client.send(request("a.com", "X-Forwarded-Client-Cert: By=forged\r\n"));
  auto app = upstream_.accept();
  const auto head = app.read_head();
  EXPECT_TRUE(has(head, "x-forwarded-client-cert: Hash=")) << head;
  EXPECT_TRUE(has(head, ";Cert=\"-----BEGIN%20CERTIFICATE-----%0A")) << head;
  EXPECT_TRUE(has(head, ";Subject=\"CN=c\";DNS=c.example.com\r\n")) << head;
  EXPECT_FALSE(has(head, "forged")) << head;
}

TEST_F(GatewayTest, MutualTlsRefusesWhoShowsNoneOrAnothersCertificate) {
  log_format_ = "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n";
  serve(server("HTTPS", "a.com", "mode: MUTUAL, credentialName: a"),
        behind("a.com", http_to_app()));
  const auto clients = test::Authority::root("Client Root");
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}), &clients);
  for (const bool shows : {false, true}) {
    test::TlsClient::Options options;
    if (shows) options.certificate = root_.issue({.common_name = "stranger"});
    auto client = connect_by_tls("a.com", options);
    client.handshake();
    client.send(request("a.com"));
    EXPECT_EQ(client.read_head(), "");
  }
  const auto log = log_text();
  EXPECT_TRUE(has(log, "the_client_showed_no_certificate")) << log;
  EXPECT_TRUE(has(log, "CERTIFICATE_VERIFY_FAILED:_unknown_CA")) << log;
}

TEST_F(GatewayTest, OptionalMutualTakesBothAndVerifiesWhatIsShown) {
  serve(server("HTTPS", "a.com", "mode: OPTIONAL_MUTUAL, credentialName: a"),
        behind("a.com", http_to_app()));
  const auto clients = test::Authority::root("Client Root");
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}), &clients);
  auto without = connect_by_tls("a.com");
  ASSERT_TRUE(without.handshake());
  without.send(request("a.com"));
  auto app = upstream_.accept();
  EXPECT_FALSE(has(app.read_head(), "x-forwarded-client-cert"));
  auto stranger =
      connect_by_tls("a.com", {.certificate = root_.issue({.common_name = "stranger"})});
  stranger.handshake();
  EXPECT_EQ(stranger.read_head(), "");
}

TEST_F(GatewayTest, PlainHttpToATlsPortAndTlsToAPlainOneAreNamed) {
  log_format_ = "%RESPONSE_FLAGS% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n";
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a"), "");
  auto plain = connect();
  plain.send(request("a.com"));
  EXPECT_EQ(plain.read_all(), "");
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  EXPECT_FALSE(connect_by_tls("a.com").handshake());
  const auto log = log_text();
  EXPECT_TRUE(has(log, "NR plain_HTTP_on_a_port_that_serves_TLS\n")) << log;
  EXPECT_TRUE(has(log, "DPE TLS_on_a_port_that_serves_plain_HTTP\n")) << log;
}

TEST_F(GatewayTest, PassesTlsThroughBySni) {
  serve(server("TLS", "a.com", "mode: PASSTHROUGH"),
        behind("a.com", "  tls: [{match: [{sniHosts: [a.com]}], route: " + to_app() + "}]"));
  auto stranger = connect_by_tls("b.com");
  EXPECT_FALSE(stranger.handshake());
  std::thread app([this] {
    auto server = upstream_.accept();
    EXPECT_TRUE(has(server.read_until("a.com"), "a.com")) << "the client's own hello";
  });
  auto client = connect_by_tls("a.com");
  EXPECT_FALSE(client.handshake()) << "the application answers no TLS here";
  app.join();
}

TEST_F(GatewayTest, CarriesBytesInBothDirectionsAndTheirEnds) {
  serve(server("TCP", "'*'"), behind("'*'", "  tcp: [{route: " + to_app() + "}]"));
  auto client = connect();
  auto app = upstream_.accept();
  app.send("220 ready\n");
  EXPECT_EQ(client.read_until("\n"), "220 ready\n") << "the server speaks first";
  client.send("bye\n");
  client.shutdown_write();
  EXPECT_EQ(app.read_all(), "bye\n");
  app.send("so long\n");
  app.close();
  EXPECT_EQ(client.read_all(), "so long\n");
}

TEST_F(GatewayTest, ATlsServerEndsTlsAndCarriesItsBytes) {
  serve(server("TLS", "a.com", "mode: SIMPLE, credentialName: a"),
        behind("a.com", "  tcp: [{route: " + to_app() + "}]"));
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}));
  auto client = connect_by_tls("a.com");
  ASSERT_TRUE(client.handshake());
  client.send("ping\n");
  auto app = upstream_.accept();
  EXPECT_EQ(app.read_until("\n"), "ping\n");
  app.send("pong\n");
  EXPECT_EQ(client.read_until("\n"), "pong\n");
}

TEST_F(GatewayTest, TheProxyProtocolNamesTheClient) {
  istio::MeshConfig mesh;
  mesh.default_config.gateway_topology.proxy_protocol = true;
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()), mesh);
  auto client = connect();
  client.send("PROXY TCP4 203.0.113.9 198.18.0.9 4711 80\r\n" + request("a.com"));
  auto app = upstream_.accept();
  EXPECT_TRUE(has(app.read_head(), "x-forwarded-for: 203.0.113.9\r\n"));
  auto stranger = connect();
  stranger.send(request("a.com"));
  EXPECT_EQ(stranger.read_all(), "") << "who begins otherwise is no load balancer";
  const auto log = log_text();
  EXPECT_TRUE(has(log, " DPE ")) << log;
  EXPECT_TRUE(has(log, " 198.18.0.9:80 203.0.113.9:4711 ")) << "what was dialled: " << log;
}

TEST_F(GatewayTest, AConnectionServesItsLastRequestWhenItsServerWantsOtherTls) {
  const auto clients = test::Authority::root("Client Root");
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a"),
        behind("a.com", http_to_app()));
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}), &clients);
  auto client = connect_by_tls("a.com");
  ASSERT_TRUE(client.handshake());
  client.send(request("a.com"));
  auto app = accept_request();
  app.send(hello);
  client.read_until("hello");
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a, minProtocolVersion: TLSV1_3"),
        behind("a.com", http_to_app()));
  client.send(request("a.com"));
  accept_request().send(hello);
  const auto last = client.read_until("hello");
  EXPECT_TRUE(has(last, "connection: close\r\n")) << last;
  EXPECT_EQ(client.read_until("never"), "") << "closed";
}

TEST_F(GatewayTest, WhoCameBeforeTheServerAskedForCertificatesIsNotServedWithoutOne) {
  const auto clients = test::Authority::root("Client Root");
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}), &clients);
  for (const char* const now : {"a.com", "'*.com'"}) {
    serve(server("HTTPS", "'*.com'", "mode: SIMPLE, credentialName: a"),
          behind("a.com", http_to_app()));
    auto client = connect_by_tls("a.com");
    ASSERT_TRUE(client.handshake());
    client.send(request("a.com"));
    accept_request().send(hello);
    client.read_until("hello");
    serve(server("HTTPS", now, "mode: MUTUAL, credentialName: a"), behind("a.com", http_to_app()));
    client.send(request("a.com"));
    const auto answer = client.read_until("never");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ") && has(answer, "connection: close"))
        << now << ": " << answer;
  }
}

TEST_F(GatewayTest, ACertificateIsForgottenWithItsServerByEachWorker) {
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}));
  GatewayTls one(vault_), other(vault_);
  std::weak_ptr<const mesh::GatewayChain> old;
  mesh::SnapshotPtr config;
  for (const char* const host : {"a.com", "b.com", "c.com"}) {  // one more stays behind readers
    serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a"), behind(host, http_to_app()));
    config = newest();
    const auto& chain = config->gateway.by_port.begin()->second->by_sni.exact.at("a.com");
    for (auto* worker : {&one, &other}) {
      EXPECT_TRUE(worker->open(*chain, ""));
      worker->keep_only(config->gateway);
    }
    if (host == std::string("a.com")) old = chain;
  }
  EXPECT_EQ(old.lock(), nullptr) << "its routes are others now";
}

TEST_F(GatewayTest, ARequestToAServerThatIsGoneIsAnswered404AndClosed) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  auto client = connect();
  client.send(request("a.com"));
  accept_request().send(hello);
  client.read_until("hello");
  use(one_service());
  client.send(request("a.com"));
  const auto answer = client.read_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ") && has(answer, "connection: close")) << answer;
}

TEST_F(GatewayTest, PoliciesSeeTheForwardedCertificateAsTheUpstreamDoes) {
  istio::MeshConfig mesh;
  mesh.default_config.gateway_topology.forward_client_cert =
      istio::ForwardClientCert::always_forward_only;
  serve(server("HTTP", "a.com"),
        behind("a.com", http_to_app()) +
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny}\n"
            "spec:\n  action: DENY\n  rules: [{when: [{values: ['URI=spiffe://x'], key: "
            "'request.headers[x-forwarded-client-cert]'}]}]\n---\n",
        mesh);
  auto client = connect();
  client.send(request("a.com", "X-Forwarded-Client-Cert: URI=spiffe://x\r\n"));
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 403 Forbidden\r\n"));
}

TEST_F(GatewayTest, TlsBehindAProxyHeaderInOneSegmentIsNoOpaqueTcp) {
  istio::MeshConfig mesh;
  mesh.default_config.gateway_topology.proxy_protocol = true;
  serve(server("TCP", "'*'") + server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a"),
        behind("a.com", http_to_app() + "\n  tcp: [{route: " + to_app() + "}]"), mesh);
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}));
  auto socket = connect();
  const int held_together = 1;
  ASSERT_EQ(setsockopt(socket.fd(), IPPROTO_TCP, TCP_CORK, &held_together, sizeof held_together),
            0);
  socket.send("PROXY TCP4 203.0.113.7 198.18.0.9 4711 443\r\n");
  test::TlsClient client(std::move(socket), {.sni = "a.com"});
  EXPECT_TRUE(client.handshake());
  pollfd app{.fd = upstream_.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&app, 1, 0), 0) << "the TCP server's upstream is nobody's";
}

TEST_F(GatewayTest, AutoPassthroughIsNotAuthorizedHereSinceIdentitiesAreBetweenItsEnds) {
  auto service = one_service();
  service.replace(service.find("resolution:"), 0, "location: MESH_INTERNAL\n  ");
  service.replace(service.find("127.0.0.1}"), 10,
                  "127.0.0.1, labels: {security.istio.io/tlsMode: istio}}");
  use(gateway(server("TLS", "'*.test'", "mode: AUTO_PASSTHROUGH")) + service +
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
      "metadata: {name: nothing}\nspec: {}\n");
  auto client = connect();
  const auto hello_bytes = sniff::records(sniff::message_with(
      sniff::server_name("outbound_." + std::to_string(dialled_port()) + "_._.app.test") +
      sniff::alpn("istio")));
  client.send(hello_bytes);
  auto app = upstream_.accept();
  EXPECT_EQ(app.read_until(hello_bytes.substr(hello_bytes.size() - 7)), hello_bytes) << log_text();
}

class GatewayPolicy : public GatewayTest {
protected:
  void serve_all_but_admin() {
    serve(
        server("HTTP", "a.com"),
        behind("a.com", http_to_app()) +
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny}\n"
            "spec:\n  action: DENY\n  rules: [{to: [{operation: {paths: [/admin], ports: ['" +
            std::to_string(dialled_port()) + "']}}]}]\n---\n");
  }
};

TEST_F(GatewayPolicy, WhatTheEdgeAddsDoesNotCountAgainstTheClientWherePoliciesLook) {
  serve_all_but_admin();
  std::string fields;
  for (std::size_t i = 2; i < limits::http_headers; i++) fields += "X-A: b\r\n";
  const auto size = request("a.com", fields + "X-L: \r\n").size();
  fields += "X-L: " + std::string(limits::http_head_bytes - 1 - size, 'l') + "\r\n";
  auto client = connect();
  client.send(request("a.com", fields));
  EXPECT_TRUE(has(upstream_.accept().read_head(), "x-request-id: "));
}

// The log has all of it.
TEST_F(GatewayTest, TellsAClientOutsideOfTheMeshNoAddressResourceOrFile) {
  auto nobody = one_service();
  nobody.replace(nobody.find("127.0.0.1"), 9, "127.0.0.9");
  use(gateway(server("HTTP", "a.com")) + behind("a.com", http_to_app()) + nobody);
  auto client = connect();
  client.send(request("a.com"));
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  const std::string body =
      "upstream connect error or disconnect/reset before headers. reset reason: connection failure";
  EXPECT_EQ(client.read_exactly(body.size()), body);
  client.send(request("a.com", "Connection: close\r\n"));
  const auto answer = client.read_all();
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + body)) << answer;
  EXPECT_TRUE(has(log_text(), "127.0.0.9:")) << log_text();
}

TEST_F(GatewayPolicy, AuthorizationPoliciesHoldAtTheGateway) {
  serve_all_but_admin();
  auto client = connect();
  client.send(request("a.com", "", "/admin"));
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_EQ(client.read_until("denied"), "RBAC: access denied");
  client.close();
  const auto log = log_text();
  EXPECT_TRUE(
      has(log, " 403 - rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[0]]"))
      << log;
  EXPECT_TRUE(has(log, " \"-\" outbound|" + std::to_string(dialled_port()) + "||app.test "))
      << "where it would have gone, as Envoy has it: " << log;
}

}  // namespace
}  // namespace sallyport::proxy
