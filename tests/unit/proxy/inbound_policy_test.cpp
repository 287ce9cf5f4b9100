// Policies and what lasts longer than a request: open connections when a policy changes; and what a
// peer may say of itself.
#include "tests/unit/proxy/inbound_fixture.h"

namespace sallyport::proxy {
namespace {

class InboundPolicy : public InboundTest {
protected:
  static istio::MeshConfig drains_after(std::chrono::milliseconds time) {
    istio::MeshConfig mesh;
    mesh.default_config.drain_duration = time;
    return mesh;
  }
  // A plaintext connection that carries bytes both ways.
  std::pair<test::TestSocket, test::TestSocket> open_tcp() {
    auto client = enter();
    client.send("ping\n");
    auto server = upstream_.accept();
    EXPECT_EQ(server.read_until("\n"), "ping\n");
    return {std::move(client), std::move(server)};
  }
  std::pair<test::TestSocket, test::TestSocket> ask_for_websocket() {
    auto client = enter();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    auto server = accept_request();
    return {std::move(client), std::move(server)};
  }
  std::string deny_path(const std::string& path) const {
    return deny("[{to: [{operation: {paths: [" + path + "], ports: ['" +
                std::to_string(upstream_address().port()) + "']}}]}]");
  }
  static constexpr std::string_view switching =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
};

TEST_F(InboundPolicy, ATcpConnectionThatIsNotLetInAnyMoreEndsWhenDrained) {
  use(app("tcp"));
  auto [client, server] = open_tcp();
  use(app("tcp", mode("STRICT")), drains_after(std::chrono::milliseconds(10)));
  EXPECT_EQ(client.read_all(), "");
  EXPECT_EQ(server.read_all(), "");
  EXPECT_TRUE(has(log_text(), " policy_change ")) << log_text();
}

TEST_F(InboundPolicy, ADenyReachesAnOpenTcpConnection) {
  use(app("tcp"));
  auto [client, server] = open_tcp();
  use(app("tcp", deny("[{to: [{operation: {ports: ['" + std::to_string(upstream_address().port()) +
                      "']}}]}]")),
      drains_after(std::chrono::milliseconds(10)));
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(InboundPolicy, ATcpConnectionThatIsStillLetInStays) {
  use(app("tcp"));
  auto [client, server] = open_tcp();
  use(app("tcp", deny("[{to: [{operation: {ports: ['1']}}]}]")),
      drains_after(std::chrono::milliseconds(0)));
  std::this_thread::sleep_for(3 * net::Loop::tick);
  client.send("still\n");
  EXPECT_EQ(server.read_until("\n"), "still\n");
}

TEST_F(InboundPolicy, AMistakeThatIsTakenBackInTimeEndsNothing) {
  use(app("tcp"));
  auto [client, server] = open_tcp();
  use(app("tcp", mode("STRICT")), drains_after(3 * net::Loop::tick));
  std::this_thread::sleep_for(2 * net::Loop::tick);
  use(app("tcp"), drains_after(3 * net::Loop::tick));
  std::this_thread::sleep_for(4 * net::Loop::tick);
  client.send("still\n");
  EXPECT_EQ(server.read_until("\n"), "still\n");
}

TEST_F(InboundPolicy, AWebSocketEndsWhenWhatLetItInChanges) {
  for (const auto& change : {deny_path("/no"), mode("STRICT")}) {
    use(app("http"));
    auto [client, server] = ask_for_websocket();
    server.send(switching);
    client.read_until("\r\n\r\n");
    use(app("http", change), drains_after(std::chrono::milliseconds(10)));
    EXPECT_EQ(client.read_all(), "") << change;
  }
}

// The change came, and was seen, between the request and the answer that made it a WebSocket.
TEST_F(InboundPolicy, AWebSocketThatAnOlderPolicyLetInEnds) {
  for (const auto& change : {deny_path("/no"), mode("STRICT")}) {
    use(app("http"));
    auto [client, server] = ask_for_websocket();
    use(app("http", change), drains_after(std::chrono::milliseconds(10)));
    std::this_thread::sleep_for(3 * net::Loop::tick);
    server.send(switching);
    client.read_until("\r\n\r\n");
    EXPECT_EQ(client.read_all(), "") << change;
  }
}

TEST_F(InboundPolicy, AWebSocketStaysUnderTheSamePolicies) {
  use(app("http", deny_path("/no")), drains_after(std::chrono::milliseconds(0)));
  auto [client, server] = ask_for_websocket();
  use(app("http", deny_path("/no")), drains_after(std::chrono::milliseconds(0)));
  server.send(switching);
  client.read_until("\r\n\r\n");
  std::this_thread::sleep_for(3 * net::Loop::tick);
  server.send("still");
  EXPECT_EQ(client.read_until("still"), "still");
}

TEST_F(InboundPolicy, ARefusalIsTheLastAnswerOfAConnectionThatThePortWouldNotTake) {
  const std::string no = deny_path("/no");
  use(app("http", no));
  auto client = enter();
  client.send("GET /no HTTP/1.1\r\nHost: a\r\n\r\n");
  client.read_until("RBAC: access denied");
  use(app("http", mode("STRICT") + no));
  client.send("GET /no HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto last = client.read_all();
  EXPECT_TRUE(has(last, "403 Forbidden") && has(last, "connection: close\r\n")) << last;
}

TEST_F(InboundPolicy, RemoteIpBlocksAskForWhatForwardedForNamesLast) {
  log_format_ = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%\n";
  use(app("http", deny("[{from: [{source: {remoteIpBlocks: [7.7.7.7]}}]}]")));
  auto client = enter();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 7.7.7.7\r\n\r\n");
  EXPECT_TRUE(has(client.read_until("denied"), "403 Forbidden"));
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 7.7.7.7, 1.1.1.1\r\n\r\n");
  accept_request().send(hello);
  EXPECT_TRUE(has(client.read_until("hello"), "200 OK"));
  EXPECT_EQ(log_text(), "7.7.7.7:0 127.0.0.1\n1.1.1.1:0 127.0.0.1\n");
}

TEST_F(InboundPolicy, IpBlocksAskForTheSocketsPeer) {
  use(app("http", deny("[{from: [{source: {ipBlocks: [7.7.7.7]}}]}]")));
  auto client = enter();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 7.7.7.7\r\n\r\n");
  accept_request().send(hello);
  EXPECT_TRUE(has(client.read_until("hello"), "200 OK"));
}

TEST_F(InboundPolicy, AnIdentityThatWouldForgeAHeaderIsNone) {
  use(app("http", mode("STRICT")));
  for (const std::string& forged :
       std::vector<std::string>{"\r\nX-User: admin", ";URI=" + sleeper, " x", "\"x"}) {
    auto client = enter_by_tls(mesh_http, sleeper + forged);
    client.handshake();
    EXPECT_EQ(client.read_head(), "") << forged;
  }
  EXPECT_TRUE(has(log_text(), "has_characters_that_no_SPIFFE_id_has")) << log_text();
}

TEST_F(InboundPolicy, AnEmptyTrustDomainLetsNobodyIn) {
  istio::MeshConfig mesh;
  mesh.trust_domain = "";
  use(app("http", mode("STRICT")), mesh);
  auto client = enter_by_tls(mesh_http, "https://anything.example/x");
  client.handshake();
  EXPECT_EQ(client.read_head(), "");
}

TEST_F(InboundPolicy, APeerMaySendAsManyForwardedCertsAsAHeadHasFields) {
  auto client = enter_by_tls();
  ASSERT_TRUE(client.handshake());
  std::string request = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t i = 1; i < limits::http_headers; i++)
    request += "X-Forwarded-Client-Cert: By=z\r\n";
  client.send(request + "\r\n");
  auto server = upstream_.accept();
  EXPECT_TRUE(has(server.read_head(), "By=z,By=z,By=" + own_id));
}

}  // namespace
}  // namespace sallyport::proxy
