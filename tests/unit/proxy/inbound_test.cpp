// The way into the pod: mutual TLS of the mesh beside plaintext, what the application sees of it,
// and who is turned away (istio-api.md 2.11, 2.15, 3.5, 7).
#include "agent/proxy/inbound.h"

#include "tests/unit/proxy/inbound_fixture.h"

namespace sallyport::proxy {
namespace {

TEST_F(InboundTest, AMeshPeersRequestReachesTheAppWithItsIdentity) {
  auto client = enter_by_tls();
  ASSERT_TRUE(client.handshake());
  EXPECT_EQ(client.alpn(), "http/1.1");
  client.send("GET /x HTTP/1.1\r\nHost: server\r\nX-Envoy-Attempt-Count: 2\r\n\r\n");
  auto server = upstream_.accept();
  const auto head = server.read_head();
  EXPECT_TRUE(has(head, "x-forwarded-client-cert: By=" + own_id + ";Hash=")) << head;
  EXPECT_TRUE(has(head, ";Subject=\"\";URI=" + sleeper + "\r\n")) << head;
  EXPECT_TRUE(has(head, "x-forwarded-proto: https\r\n")) << head;
  EXPECT_TRUE(has(head, "x-envoy-attempt-count: 2\r\n")) << head;
  EXPECT_TRUE(has(head, "x-request-id: ")) << head;
  server.send(hello);
  const auto answer = client.read_until("hello");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(has(answer, "server: istio-envoy\r\n")) << answer;
  server.close();
  const auto log = log_text();
  EXPECT_TRUE(has(log, "\"GET /x HTTP/1.1\" 200 - via_upstream")) << log;
  EXPECT_TRUE(has(log, "inbound|" + std::to_string(upstream_address().port()) + "|| 127.0.0.6:"))
      << log;
  EXPECT_TRUE(has(log, " " + sni + " default\n")) << log;
}

TEST_F(InboundTest, APeersOwnForwardedCertIsAppendedToAndAStrangersIsDropped) {
  const std::string request =
      "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: URI=spiffe://x/y\r\n"
      "x-forwarded-client-cert: By=z\r\n\r\n";
  auto client = enter_by_tls();
  ASSERT_TRUE(client.handshake());
  client.send(request);
  auto server = upstream_.accept();
  const auto head = server.read_head();
  EXPECT_TRUE(has(head, "x-forwarded-client-cert: URI=spiffe://x/y,By=z,By=" + own_id)) << head;
  EXPECT_FALSE(has(head, "X-Forwarded-Client-Cert")) << "one field, not two: " << head;
  auto stranger = enter();
  stranger.send(request);
  auto other = upstream_.accept();
  const auto plain = other.read_head();
  EXPECT_FALSE(has(plain, "spiffe://x/y") || has(plain, "client-cert")) << plain;
  EXPECT_TRUE(has(plain, "x-forwarded-proto: http\r\n")) << plain;
}

TEST_F(InboundTest, StrictResetsPlaintextAndSaysWhichPolicyDoes) {
  log_format_ = "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n";
  use(app("http", mode("STRICT")));
  auto client = enter();
  client.send(get);
  EXPECT_EQ(client.read_all(), "");
  const auto log = log_text();
  EXPECT_TRUE(has(log, "NR filter_chain_not_found STRICT:_only_mutual_TLS_of_the_mesh_is_let_in"))
      << log;
  EXPECT_TRUE(has(log, "PeerAuthentication_default/default_(test.yaml:")) << log;
}

TEST_F(InboundTest, APlaintextConnectionServesItsLastRequestWhenThePortBecomesStrict) {
  auto client = enter();
  client.send(get);
  auto server = accept_request();
  server.send(hello);
  client.read_until("hello");
  use(app("http", mode("STRICT")));
  client.send(get);
  accept_request().send(hello);
  const auto last = client.read_all();
  EXPECT_TRUE(has(last, "200 OK") && has(last, "connection: close\r\n")) << last;
}

TEST_F(InboundTest, ABrokenPeerAuthenticationEndsOpenConnections) {
  auto client = enter();
  client.send(get);
  accept_request().send(hello);
  client.read_until("hello");
  use_broken(app("http") + mode("STRIKT"));
  client.send(get);
  const auto answer = client.read_all();
  EXPECT_TRUE(has(answer, "403 Forbidden")) << answer;
  EXPECT_TRUE(has(log_text(), "PeerAuthentication_default/default"));
}

TEST_F(InboundTest, ForeignTlsToAnHttpPortIsReset) {
  auto client = enter_by_tls({"h2", "http/1.1"});
  EXPECT_FALSE(client.handshake());
  EXPECT_TRUE(has(log_text(), " 0 NR filter_chain_not_found "));
}

TEST_F(InboundTest, TheAppsOwnTlsIsPassedThroughUntouched) {
  use(app("https"));
  auto client = enter();
  const std::string record("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);  // a hello of one byte
  client.send(record);
  auto server = upstream_.accept();
  EXPECT_EQ(server.read_exactly(record.size()), record);
}

TEST_F(InboundTest, TcpInMutualTlsReachesTheAppAsBytes) {
  use(app("tcp", mode("STRICT")));
  auto client = enter_by_tls(mesh_tcp);
  ASSERT_TRUE(client.handshake());
  EXPECT_EQ(client.alpn(), "") << "istio-peer-exchange is never agreed on";
  auto server = upstream_.accept();
  server.send("220 hello\r\n");  // the server speaks first
  EXPECT_EQ(client.read_until("\n"), "220 hello\r\n");
  client.send("ping\n");
  EXPECT_EQ(server.read_until("\n"), "ping\n");
}

TEST_F(InboundTest, AnAppThatSpeaksFirstIsHeardInPlaintextWherePermissive) {
  use(app("tcp"));
  auto client = enter();
  auto server = upstream_.accept();
  server.send("220 hello\r\n");
  EXPECT_EQ(client.read_until("\n"), "220 hello\r\n");
}

TEST_F(InboundTest, AFailedHandshakeIsLoggedWithItsCauseAndHurtsNobodyElse) {
  const auto strangers = test::Authority::root("Strangers");
  test::TlsClient stranger(
      enter(), {.certificate = strangers.issue({.uris = {sleeper}}), .alpn = mesh_http});
  stranger.handshake();
  EXPECT_EQ(stranger.read_head(), "");
  auto nobody = enter_by_tls(mesh_http, "");
  nobody.handshake();
  EXPECT_EQ(nobody.read_head(), "");
  auto good = enter_by_tls();
  ASSERT_TRUE(good.handshake());
  good.send(get);
  accept_request().send(hello);
  EXPECT_TRUE(has(good.read_until("hello"), "200 OK"));
  const auto log = log_text();
  EXPECT_TRUE(has(log, "TLS_error:_CERTIFICATE_VERIFY_FAILED:_unknown_CA:_issuer_\"CN=Strangers\""))
      << log;
  EXPECT_TRUE(has(log, "PEER_DID_NOT_RETURN_A_CERTIFICATE:_the_client_showed_no_certificate"))
      << log;
}

TEST_F(InboundTest, WithoutAnIdentityMutualTlsIsRefusedAndPlaintextGoesOn) {
  vault_.publish(std::make_shared<const certs::Vault>());
  auto peer = enter_by_tls();
  EXPECT_FALSE(peer.handshake());
  auto client = enter();
  client.send(get);
  accept_request().send(hello);
  EXPECT_TRUE(has(client.read_until("hello"), "200 OK"));
  EXPECT_TRUE(has(log_text(), "the_workload_has_no_certificate_(default)"));
}

TEST_F(InboundTest, ANewCertificateIsShownToTheNextClient) {
  const auto serial = [&] {
    auto client = enter_by_tls();
    EXPECT_TRUE(client.handshake());
    const std::unique_ptr<X509, test::detail::FreeBy<X509_free>> shown(
        SSL_get1_peer_certificate(client.ssl()));
    return ASN1_INTEGER_get(X509_get0_serialNumber(shown.get()));
  };
  const long before = serial();
  give_identity();
  EXPECT_NE(serial(), before);
}

TEST_F(InboundTest, ADeniedRequestGetsEnvoysAnswerAndLogLine) {
  use(app("http",
          deny("[{from: [{source: {principals: ['cluster.local/ns/default/sa/sleep']}}]}]")));
  auto client = enter_by_tls();
  ASSERT_TRUE(client.handshake());
  client.send("GET /secret HTTP/1.1\r\nHost: server\r\n\r\n");
  const auto answer = client.read_until("denied");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 Forbidden\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nRBAC: access denied")) << answer;
  EXPECT_TRUE(has(answer, "server: istio-envoy\r\n")) << answer;
  auto other = enter_by_tls(mesh_http, "spiffe://cluster.local/ns/default/sa/other");
  ASSERT_TRUE(other.handshake());
  other.send(get);
  accept_request().send(hello);
  EXPECT_TRUE(has(other.read_until("hello"), "200 OK"));
  EXPECT_TRUE(has(log_text(),
                  "\"GET /secret HTTP/1.1\" 403 - "
                  "rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[0]] - "));
}

TEST_F(InboundTest, ADeniedConnectionIsClosedAndTheAppNeverSeesIt) {
  use(app("tcp", deny("[{from: [{source: {principals: ['*']}}]}]")));
  auto client = enter_by_tls(mesh_tcp);
  ASSERT_TRUE(client.handshake());
  EXPECT_EQ(client.read_until("\n"), "");
  EXPECT_TRUE(
      has(log_text(),
          "\"- - -\" 0 - - "
          "rbac_access_denied_matched_policy[ns[default]-policy[deny]-rule[0]] \"-\" 0 0 "));
}

TEST_F(InboundTest, AnAppThatIsNotThereIsA503) {
  upstream_.close();
  auto client = enter();
  client.send(get);
  EXPECT_TRUE(has(client.read_head(), "503 Service Unavailable"));
  EXPECT_TRUE(has(log_text(), "503 URX,UF "));
}

}  // namespace
}  // namespace sallyport::proxy
