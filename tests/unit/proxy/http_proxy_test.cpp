// HTTP/1 through the proxy, message by message: the test is both the app and the upstream.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

class HttpProxy : public ProxyTest {
protected:
  void expect_log(std::string_view part) {
    const auto log = log_text();
    EXPECT_TRUE(has(log, part)) << log;
  }
  // One request answered; the bytes that the app sees.
  std::string serve_one(const test::TestSocket& app, const test::TestSocket& server,
                        const std::string& request = get) {
    app.send(request);
    server.read_head();
    server.send(hello);
    return app.read_until("hello");
  }
};

TEST_F(HttpProxy, ARequestReachesTheServiceWithWhatASidecarAdds) {
  auto app = dial();
  app.send("GET /politics?a=b HTTP/1.1\r\nHost: app.test\r\nX-Mixed-Case: Kept\r\n\r\n");
  auto server = upstream_.accept();
  const auto request = server.read_head();
  EXPECT_TRUE(request.starts_with("GET /politics?a=b HTTP/1.1\r\n")) << request;
  EXPECT_TRUE(has(request, "X-Mixed-Case: Kept\r\n"))
      << "the case that came in is kept: " << request;
  EXPECT_TRUE(has(request, "x-request-id: ")) << request;
  EXPECT_TRUE(has(request, "x-forwarded-proto: http\r\n")) << request;
  EXPECT_TRUE(has(request, "x-envoy-attempt-count: 1\r\n")) << request;
  EXPECT_FALSE(has(request, "x-envoy-peer-metadata")) << request;
  server.send(hello);
  const auto answer = app.read_until("hello");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(has(answer, "server: envoy\r\n")) << answer;
  EXPECT_TRUE(has(answer, "x-envoy-upstream-service-time: ")) << answer;
}

TEST_F(HttpProxy, BothSidesStayOpenAndAnUpstreamConnectionServesTwoClients) {
  auto first = dial();
  first.send(get);
  auto server = accept_request();
  server.send(hello);
  first.read_until("hello");
  EXPECT_TRUE(has(serve_one(first, server), "hello"));
  first.close();
  auto second = dial();
  EXPECT_TRUE(has(serve_one(second, server), "hello"));
  EXPECT_EQ(metrics_.upstream_cx_total.get(), 1u);
}

TEST_F(HttpProxy, PipelinedRequestsAreAnsweredInOrder) {
  auto app = dial();
  app.send(get + "GET /second HTTP/1.1\r\nHost: app.test\r\n\r\n");
  auto server = upstream_.accept();
  EXPECT_TRUE(has(server.read_head(), "GET /politics"));
  server.send(hello);
  EXPECT_TRUE(has(server.read_head(), "GET /second"));
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
  const auto both = app.read_until("second");
  EXPECT_LT(both.find("hello"), both.find("second"));
}

TEST_F(HttpProxy, AChunkedBodyPassesBothWaysWithItsTrailers) {
  auto app = dial();
  const std::string body = "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
  app.send(
      "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n");
  auto server = upstream_.accept();
  EXPECT_TRUE(has(server.read_head(), "chunked"));
  app.send(body);
  EXPECT_EQ(server.read_until("X-Sum: 1\r\n\r\n"), body);
  server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body);
  EXPECT_TRUE(app.read_until("X-Sum: 1\r\n\r\n").ends_with(body));
  EXPECT_TRUE(has(serve_one(app, server), "hello")) << "and the connections are of use afterwards";
}

TEST_F(HttpProxy, AClientThatKnowsNoChunksGetsTheContent) {
  auto app = dial();
  app.send("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n");
  auto server = upstream_.accept();
  EXPECT_TRUE(server.read_head().starts_with("GET / HTTP/1.1\r\n"));
  server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
  server.send("lo\r\n3\r\nyou\r\n0\r\n\r\n");
  const auto answer = app.read_all();
  EXPECT_TRUE(answer.ends_with("\r\n\r\nhelloyou")) << answer;
  EXPECT_FALSE(has(answer, "hunked")) << answer;
}

TEST_F(HttpProxy, AnswersThatHaveNoBodyDontWaitForOne) {
  auto app = dial();
  app.send("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n");
  auto server = accept_request();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  EXPECT_TRUE(has(app.read_head(), "1000"));
  for (const char* status : {"204 No Content", "304 Not Modified"}) {
    app.send(get);
    server.read_head();
    server.send(std::string("HTTP/1.1 ") + status + "\r\n\r\n");
    EXPECT_TRUE(has(app.read_head(), status));
  }
  EXPECT_TRUE(has(serve_one(app, server), "hello"));
}

TEST_F(HttpProxy, ABodyThatLastsUntilTheEndEndsBothConnections) {
  auto app = dial();
  app.send(get);
  {
    auto server = accept_request();
    server.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  }
  EXPECT_TRUE(app.read_all().ends_with("until the end"));
}

const std::string get_and_close = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";

TEST_F(HttpProxy, AClientThatAskedForTheEndIsNotWaitedFor) {
  auto app = dial();
  app.send(get_and_close);
  accept_request().send(hello);
  EXPECT_TRUE(app.read_all().ends_with("hello"));
  app.send("late");
  EXPECT_FALSE(app.send("later")) << "the connection was closed in both directions";
}

TEST_F(HttpProxy, AClientThatGoesOnSendingStillReadsItsAnswer) {
  auto app = dial();
  app.send(get_and_close + get);
  accept_request().send(hello);
  EXPECT_TRUE(app.read_all().ends_with("hello")) << "no reset destroyed it";
  EXPECT_TRUE(app.send("late") && app.send("later")) << "read and dropped, for a while";
}

TEST_F(HttpProxy, AHundredContinueComesFromTheServer) {
  auto app = dial();
  app.send("PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  auto server = upstream_.accept();
  EXPECT_TRUE(has(server.read_head(), "xpect: 100-continue"));
  server.send("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(app.read_head().starts_with("HTTP/1.1 100 Continue\r\n"));
  app.send("body");
  EXPECT_EQ(server.read_exactly(4), "body");
  server.send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
}

TEST_F(HttpProxy, AnEarlyAnswerIsNotHeldBackByTheBody) {
  auto app = dial();
  app.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\nbeginning");
  auto server = accept_request();
  server.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nno!");
  EXPECT_TRUE(has(app.read_until("no!"), "413"));
  EXPECT_EQ(app.read_all(), "") << "the rest of the body is not wanted: the connection ends";
}

TEST_F(HttpProxy, AClientThatHalfClosedStillGetsItsAnswer) {
  auto app = dial();
  app.send(get);
  app.shutdown_write();
  auto server = accept_request();
  server.send(hello);
  EXPECT_TRUE(has(app.read_all(), "hello"));
}

TEST_F(HttpProxy, AClientThatLeftIsNoticedWhileItsAnswerIsAwaited) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  app.close();
  EXPECT_EQ(server.read_all(), "") << "the upstream connection is closed";
  const auto log = log_text();
  EXPECT_TRUE(has(log, " 0 DC downstream_remote_disconnect ")) << log;
}

TEST_F(HttpProxy, AWebSocketBecomesBytesBothWays) {
  auto app = dial();
  app.send(
      "GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  auto server = upstream_.accept();
  const auto request = server.read_head();
  EXPECT_TRUE(has(request, "pgrade: websocket\r\n")) << request;
  server.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
  EXPECT_TRUE(has(app.read_until("first"), "101 Switching Protocols"));
  app.send("ping");
  EXPECT_EQ(server.read_exactly(4), "ping");
  server.close();
  EXPECT_EQ(app.read_all(), "");
  expect_log("\"GET /chat HTTP/1.1\" 101 - via_upstream - \"-\" 4 5 ");
}

TEST_F(HttpProxy, AnUnknownUpgradeIsRefused) {
  auto app = dial();
  app.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n");
  EXPECT_TRUE(app.read_head().starts_with("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_EQ(metrics_.upstream_cx_total.get(), 0u);
}

TEST_F(HttpProxy, AnIdleUpstreamThatWasClosedIsNoticed) {
  auto app = dial();
  app.send(get);
  {
    auto server = accept_request();
    server.send(hello);
    app.read_until("hello");
  }
  app.send(get);
  auto server = accept_request();
  server.send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
}

TEST_F(HttpProxy, BytesBeyondTheEndSpoilOnlyThatUpstreamConnection) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send(hello + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  EXPECT_TRUE(app.read_until("hello").ends_with("hello"));
  app.send(get);
  auto other = accept_request();
  other.send(hello);
  EXPECT_TRUE(app.read_until("hello").ends_with("hello"));
}

TEST_F(HttpProxy, AnUpstreamThatClosesWithoutAnAnswerIsA503WithItsFlag) {
  auto app = dial();
  app.send(get);
  { auto server = accept_request(); }
  const auto answer = app.read_until("connection termination");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << answer;
  expect_log(" 503 UC upstream_reset_before_response_started{connection_termination} ");
}

TEST_F(HttpProxy, ABodyCutShortDoesNotLookWhole) {
  auto app = dial();
  app.send(get);
  {
    auto server = accept_request();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    app.read_until("half");
  }
  EXPECT_EQ(app.read_all(), "");
  expect_log(" 200 UC upstream_reset_after_response_started{connection_termination} ");
}

TEST_F(HttpProxy, NonsenseFromTheUpstreamIsA502) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
  EXPECT_TRUE(app.read_head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
  expect_log(" 502 UPE ");
}

TEST_F(HttpProxy, ASwitchThatNobodyAskedForIsA502) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_TRUE(app.read_head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
}

TEST_F(HttpProxy, NobodyListeningIsA503AfterTheRetries) {
  upstream_.close();
  auto app = dial();
  app.send(get);
  const auto answer = app.read_until("refused");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << answer;
  EXPECT_EQ(metrics_.upstream_rq_retry.get(), 2u);
  expect_log(" 503 URX,UF upstream_reset_before_response_started{");
}

TEST_F(HttpProxy, AnUnknownHostGoesWhereItWasDialledUnderAllowAny) {
  auto app = dial();
  app.send("GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
  auto dialled = door_.accept();
  EXPECT_TRUE(has(dialled.read_head(), "unknown.test"));
  dialled.send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
  expect_log(" PassthroughCluster ");
}

TEST_F(HttpProxy, AnUnknownHostIsA502UnderRegistryOnly) {
  istio::MeshConfig mesh;
  mesh.outbound_traffic_policy = istio::OutboundMode::registry_only;
  use(one_service(), mesh);
  auto app = dial();
  app.send("GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
  const auto answer = app.read_head();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n")) << answer;
  EXPECT_TRUE(has(answer, "content-length: 0\r\n")) << answer;
  expect_log(" block_all\n");
}

TEST_F(HttpProxy, AChangedConfigurationAppliesToTheNextRequestOfAnOpenConnection) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send(hello);
  app.read_until("hello");
  istio::MeshConfig mesh;
  mesh.outbound_traffic_policy = istio::OutboundMode::registry_only;
  use("", mesh);
  app.send(get);
  EXPECT_FALSE(app.read_head().starts_with("HTTP/1.1 200")) << "app.test is gone";
}

// A worker without clients for hours held the old snapshot, its clusters and their connections.
TEST_F(HttpProxy, AClusterThatIsGoneTakesItsIdleConnectionsAlong) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send(hello);
  app.read_until("hello");
  use("");
  char byte;
  EXPECT_EQ(::recv(server.fd(), &byte, 1, 0), 0) << "closed, though nobody asks for anything";
}

}  // namespace
}  // namespace sallyport::proxy
