// What a DestinationRule's loadBalancer, connectionPool and outlierDetection do to requests: real
// sockets on both sides.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

const std::string broken = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

class LoadPolicy : public ProxyTest {
protected:
  void rule(const std::string& policy, const std::string& more = "") {
    use(one_service() +
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: dr}\n"
        "spec:\n  host: app.test\n  trafficPolicy: {" +
        policy + "}\n" + more);
  }
  const std::string retry_503_ =
      "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs}\n"
      "spec:\n  hosts: [app.test]\n  http:\n  - {route: [{destination: {host: app.test}}], "
      "retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}}\n";
};

TEST_F(LoadPolicy, AClientWithoutTheCookieGetsOne) {
  rule("loadBalancer: {consistentHash: {httpCookie: {name: user, path: /p, ttl: 60s}}}");
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send(hello);
  const auto answer = app.read_until("hello");
  const auto at = answer.find("set-cookie: user=\"");
  ASSERT_NE(at, answer.npos) << answer;
  EXPECT_TRUE(has(answer, "\"; Max-Age=60; Path=/p; HttpOnly\r\n")) << answer;
  const std::string cookie = answer.substr(at + 12, answer.find(';', at) - at - 12);
  app.send("GET / HTTP/1.1\r\nHost: app.test\r\nCookie: " + cookie + "\r\n\r\n");
  server.read_head();
  server.send(hello);
  EXPECT_FALSE(has(app.read_until("hello"), "set-cookie"));
}

TEST_F(LoadPolicy, ErrorAnswersEjectTheOnlyEndpoint) {
  rule("outlierDetection: {consecutive5xxErrors: 2}");
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send(broken);
  app.read_head();
  app.send(get);
  server.read_head();
  server.send(broken);
  app.read_head();
  app.send(get);
  const auto answer = app.read_until("ejected every endpoint");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_TRUE(has(answer, "no healthy upstream")) << answer;
  EXPECT_TRUE(has(log_text(), " 503 UH no_healthy_upstream ")) << log_text();
  EXPECT_EQ(metrics_.outlier_ejections.get(), 1u);
}

TEST_F(LoadPolicy, AnUpstreamThatClosesWithoutAnAnswerIsAFailure) {
  rule("outlierDetection: {consecutiveGatewayErrors: 1}");
  auto app = dial();
  app.send(get);
  accept_request().close();
  app.read_head();
  log_text();
  EXPECT_EQ(metrics_.outlier_ejections.get(), 1u);
}

TEST_F(LoadPolicy, RequestsBeyondHttp2MaxRequestsAreTurnedAway) {
  rule("connectionPool: {http: {http2MaxRequests: 1}}");
  auto first = dial();
  first.send(get);
  auto server = accept_request();
  auto second = dial();
  second.send(get);
  const auto answer = second.read_until("at a time");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_TRUE(has(answer, "x-envoy-overloaded: true\r\n")) << answer;
  server.send(hello);
  EXPECT_TRUE(has(first.read_until("hello"), "200 OK"));
  EXPECT_TRUE(has(log_text(), " 503 UO ")) << log_text();
}

TEST_F(LoadPolicy, ARetryBeyondMaxRetriesIsNotMade) {
  rule("connectionPool: {http: {maxRetries: 1}}", retry_503_);
  auto first = dial();
  first.send(get);
  accept_request().send(broken);
  auto retried = accept_request();  // holds the only retry
  auto second = dial();
  second.send(get);
  accept_request().send(broken);
  EXPECT_TRUE(second.read_head().starts_with("HTTP/1.1 503 "));
  retried.send(hello);
  EXPECT_TRUE(has(first.read_until("hello"), "200 OK"));
  EXPECT_TRUE(has(log_text(), " 503 UO via_upstream ")) << log_text();
  EXPECT_EQ(metrics_.upstream_rq_retry_overflow.get(), 1u);
}

TEST_F(LoadPolicy, AnOpaqueConnectionEndsWhenItsTimeIsOver) {
  rule("connectionPool: {tcp: {maxConnectionDuration: 50ms}}");
  auto app = dial_as([](Client client, Worker& worker) {
    TcpPlan plan;
    for (const auto& [name, cluster] : worker.snapshot()->clusters) {
      if (name.ends_with("||app.test")) plan.cluster = cluster;
    }
    return serve_tcp(std::move(client), worker, std::move(plan));
  });
  app.send("hello");
  auto server = upstream_.accept();
  EXPECT_EQ(server.read_exactly(5), "hello");
  EXPECT_EQ(app.read_all(), "");
  EXPECT_TRUE(has(log_text(), " DT ")) << log_text();
}

}  // namespace
}  // namespace sallyport::proxy
