// What a VirtualService's rule does with requests on their way: real sockets on both sides.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

std::string ask(const std::string& method, const std::string& path,
                const std::string& fields = "") {
  return method + " " + path + " HTTP/1.1\r\nHost: app.test\r\n" + fields + "\r\n";
}

class Actions : public ProxyTest {
protected:
  // A VirtualService for app.test with these rules, items of a list in flow style.
  void rules(const std::string& items) {
    use(one_service() +
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs}\n"
        "spec:\n  hosts: [app.test]\n  http:\n" +
        items);
  }
  static std::string to_app(const std::string& more) {
    return "  - {route: [{destination: {host: app.test}}], " + more + "}\n";
  }
  // The request as the upstream reads it; its answer is `answer`.
  std::string forwarded(const std::string& request, const std::string& answer = hello) {
    app_ = dial();
    app_.send(request);
    auto server = upstream_.accept();
    auto head = server.read_head();
    server.send(answer);
    return head;
  }
  // The second time the server takes the request and ends the connection without an answer.
  void ask_twice_on_one_connection() {
    app_ = dial();
    app_.send(ask("GET", "/"));
    {
      auto server = accept_request();
      server.send(hello);
      app_.read_until("hello");
      app_.send(ask("GET", "/again"));
      server.read_head();
    }
  }
  test::TestSocket app_;
};

TEST_F(Actions, ARewriteReachesTheUpstreamAndTheLogKeepsWhatWasAsked) {
  rules(
      "  - {name: api, match: [{uri: {prefix: /api}}], rewrite: {uri: /v1, authority: inner.test}, "
      "route: [{destination: {host: app.test}}]}\n");
  const auto request = forwarded(ask("GET", "/api/x?q=1"));
  EXPECT_TRUE(request.starts_with("GET /v1/x?q=1 HTTP/1.1\r\n")) << request;
  EXPECT_TRUE(has(request, "Host: inner.test\r\n")) << request;
  EXPECT_TRUE(has(request, "x-envoy-original-path: /api/x?q=1\r\n")) << request;
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
  const auto log = log_text();
  EXPECT_TRUE(has(log, "\"GET /api/x?q=1 HTTP/1.1\" 200 - via_upstream")) << log;
  EXPECT_TRUE(log.ends_with(" - api\n")) << log;
}

TEST_F(Actions, HeadersAreChangedOnBothWays) {
  rules(
      to_app("headers: {request: {set: {x-to: up}, remove: [x-secret]}, response: {add: {x-from: "
             "rule}, remove: [x-powered-by]}}"));
  const auto request = forwarded(ask("GET", "/", "X-Secret: s\r\n"),
                                 "HTTP/1.1 200 OK\r\nX-Powered-By: php\r\nContent-Length: "
                                 "2\r\n\r\nok");
  EXPECT_TRUE(has(request, "x-to: up\r\n")) << request;
  EXPECT_FALSE(has(request, "Secret")) << request;
  const auto answer = app_.read_until("ok");
  EXPECT_TRUE(has(answer, "x-from: rule\r\n")) << answer;
  EXPECT_FALSE(has(answer, "Powered")) << answer;
}

TEST_F(Actions, TheLogKnowsTheHeadersThatWentOut) {
  log_format_ =
      "%REQ(X-TO)% %REQ(X-GONE)% %RESP(X-FROM)% %UPSTREAM_PROTOCOL% "
      "%UPSTREAM_REQUEST_ATTEMPT_COUNT%\n";
  rules(to_app("headers: {request: {set: {x-to: up}, remove: [x-gone]}}"));
  forwarded(ask("GET", "/", "X-Gone: g\r\n"),
            "HTTP/1.1 200 OK\r\nX-From: server\r\nContent-Length: 2\r\n\r\nok");
  app_.read_until("ok");
  EXPECT_EQ(log_text(), "up - server HTTP/1.1 1\n");
}

TEST_F(Actions, TheLogKnowsTheHeadersOfOurOwnAnswers) {
  log_format_ = "%REQ(X-A)% %RESP(LOCATION)% %RESPONSE_CODE%\n";
  rules("  - {redirect: {uri: /there}}\n");
  app_ = dial();
  app_.send(ask("GET", "/", "X-A: a\r\n"));
  app_.read_head();
  EXPECT_EQ(log_text(), "a http://app.test/there 301\n");
}

TEST_F(Actions, ADestinationsHeadersFollowTheRoutes) {
  rules(
      "  - {headers: {request: {set: {x-a: route}}}, route: [{destination: {host: app.test}, "
      "headers: {request: {set: {x-a: destination}}}}]}\n");
  EXPECT_TRUE(has(forwarded(ask("GET", "/")), "x-a: destination\r\n"));
}

TEST_F(Actions, ABodyGoesWithARewrittenHead) {
  rules(to_app("rewrite: {uri: /y}"));
  app_ = dial();
  app_.send(ask("PUT", "/", "Content-Length: 6\r\n") + "abc");
  auto server = upstream_.accept();
  EXPECT_TRUE(server.read_head().starts_with("PUT /y HTTP/1.1\r\n"));
  EXPECT_EQ(server.read_exactly(3), "abc");
  app_.send("def");
  EXPECT_EQ(server.read_exactly(3), "def");
  server.send(hello);
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
  app_.send(ask("GET", "/second"));
  EXPECT_TRUE(server.read_head().starts_with("GET /ysecond ")) << "the connection goes on";
}

TEST_F(Actions, ARedirectIsAnsweredHere) {
  rules("  - {redirect: {uri: /there, authority: other.test, redirectCode: 302}}\n");
  app_ = dial();
  app_.send(ask("GET", "/here"));
  const auto answer = app_.read_head();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 302 Found\r\n")) << answer;
  EXPECT_TRUE(has(answer, "location: http://other.test/there\r\n")) << answer;
  EXPECT_TRUE(has(log_text(), "\"GET /here HTTP/1.1\" 302 - direct_response - \"-\" 0 0 "));
}

TEST_F(Actions, AnAnswerOfTheRule) {
  rules(
      "  - {directResponse: {status: 418, body: {string: teapot}}, headers: {response: {set: "
      "{x-kind: pot}}}}\n");
  app_ = dial();
  app_.send(ask("GET", "/"));
  const auto answer = app_.read_until("teapot");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 418 ")) << answer;
  EXPECT_TRUE(has(answer, "x-kind: pot\r\n")) << answer;
}

TEST_F(Actions, ADestinationThatIsNotThereIsNc) {
  rules("  - {route: [{destination: {host: nowhere.test}}]}\n");
  app_ = dial();
  app_.send(ask("GET", "/"));
  EXPECT_TRUE(app_.read_head().starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(has(log_text(), " 503 NC cluster_not_found "));
}

TEST_F(Actions, NoRuleIs404) {
  rules("  - {match: [{uri: {exact: /only}}], route: [{destination: {host: app.test}}]}\n");
  app_ = dial();
  app_.send(ask("GET", "/other"));
  EXPECT_TRUE(app_.read_head().starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(has(log_text(), " 404 NR route_not_found "));
}

TEST_F(Actions, AnAbortOfAllRequests) {
  rules(to_app("fault: {abort: {httpStatus: 503, percentage: {value: 100}}}"));
  app_ = dial();
  app_.send(ask("GET", "/"));
  EXPECT_TRUE(has(app_.read_until("fault filter abort"), "HTTP/1.1 503 "));
  EXPECT_TRUE(has(log_text(), " 503 FI fault_filter_abort "));
}

TEST_F(Actions, AnAbortWithoutPercentageNeverFires) {
  rules(to_app("fault: {abort: {httpStatus: 503}}"));
  EXPECT_FALSE(forwarded(ask("GET", "/")).empty());
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
}

TEST_F(Actions, ADelayDoesNotCountTowardsTheTimeout) {
  rules(to_app("timeout: 100ms, fault: {delay: {fixedDelay: 300ms, percentage: {value: 100}}}"));
  EXPECT_FALSE(forwarded(ask("GET", "/")).empty());
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
  EXPECT_TRUE(has(log_text(), " 200 DI via_upstream "));
}

TEST_F(Actions, ATimeoutIs504) {
  rules(to_app("timeout: 50ms"));
  app_ = dial();
  app_.send(ask("GET", "/"));
  auto server = upstream_.accept();
  EXPECT_TRUE(has(server.read_head(), "x-envoy-expected-rq-timeout-ms: 50\r\n"));
  EXPECT_TRUE(has(app_.read_until("upstream request timeout"), "HTTP/1.1 504 "));
  EXPECT_TRUE(has(log_text(), " 504 UT response_timeout "));
}

// A kept connection that ends when it is used again may have been closed before.
TEST_F(Actions, OnAKeptConnectionARequestWithoutAnAnswerIsSentOnceMore) {
  rules(to_app("timeout: 1h"));
  ask_twice_on_one_connection();
  auto other = accept_request();
  other.send(hello);
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
}

TEST_F(Actions, NotWhereRetriesAreOff) {
  rules(to_app("retries: {attempts: 0}"));
  ask_twice_on_one_connection();
  EXPECT_TRUE(has(app_.read_until("connection termination"), "HTTP/1.1 503 "));
  EXPECT_TRUE(has(log_text(), " 503 UC "));
}

// URX says that the policy would have tried again, and had no tries left.
TEST_F(Actions, RetriesThatAreUsedUpAreOnlyThoseThatThePolicyHas) {
  rules(to_app("timeout: 1h"));
  app_ = dial();
  app_.send(ask("GET", "/", "x-envoy-upstream-rq-per-try-timeout-ms: 50\r\n"));
  auto silent = accept_request();
  EXPECT_TRUE(has(app_.read_until("upstream request timeout"), "HTTP/1.1 504 "));
  EXPECT_TRUE(has(log_text(), " 504 UT upstream_per_try_timeout "));
}

TEST_F(Actions, RetriesOfWhichTheClientAllowsNoneAreUsedUp) {
  rules(to_app("timeout: 1h"));
  app_ = dial();
  app_.send(ask("GET", "/", "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 0\r\n"));
  auto failing = accept_request();
  failing.send("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_TRUE(has(app_.read_until("no"), "HTTP/1.1 503 "));
  EXPECT_TRUE(has(log_text(), " 503 URX via_upstream "));
}

TEST_F(Actions, HeaderValuesWithEnvoysVariables) {
  rules(
      to_app("headers: {request: {set: {x-from: '%DOWNSTREAM_LOCAL_ADDRESS% %PROTOCOL% 100%%', "
             "x-copy: '%REQ(X-USER)%', x-none: '%REQ(X-ABSENT)%'}}, "
             "response: {set: {x-code: '%RESPONSE_CODE%/%RESP(X-KIND)%'}}}"));
  app_ = dial();
  app_.send(ask("GET", "/", "X-User: joe\r\n"));
  auto server = upstream_.accept();
  const auto head = server.read_head();
  EXPECT_TRUE(has(head, " HTTP/1.1 100%\r\n")) << head;
  EXPECT_TRUE(has(head, "x-copy: joe\r\n")) << head;
  EXPECT_FALSE(has(head, "x-none")) << head;
  server.send("HTTP/1.1 200 OK\r\nX-Kind: k\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_TRUE(has(app_.read_until("hello"), "x-code: 200/k\r\n"));
}

TEST_F(Actions, TheClientsOwnTimeoutCountsInsteadOfTheRoutes) {
  rules(to_app("timeout: 1h"));
  app_ = dial();
  app_.send(ask("GET", "/", "x-envoy-upstream-rq-timeout-ms: 50\r\n"));
  auto server = upstream_.accept();
  const auto head = server.read_head();
  EXPECT_TRUE(has(head, "x-envoy-expected-rq-timeout-ms: 50\r\n"));
  EXPECT_FALSE(has(head, "x-envoy-upstream-rq-timeout-ms"));
  EXPECT_TRUE(has(app_.read_until("upstream request timeout"), "HTTP/1.1 504 "));
}

TEST_F(Actions, AClientThatAsksForItGets204ForATimeout) {
  rules(to_app("timeout: 50ms"));
  app_ = dial();
  app_.send(ask("GET", "/", "x-envoy-upstream-rq-timeout-alt-response: 1\r\n"));
  auto server = upstream_.accept();
  server.read_head();
  EXPECT_TRUE(has(app_.read_until("\r\n\r\n"), "HTTP/1.1 204 "));
  EXPECT_TRUE(has(log_text(), " 204 UT response_timeout "));
}

TEST_F(Actions, TheClientsOwnRetries) {
  rules(to_app("retries: {attempts: 0}"));
  app_ = dial();
  app_.send(ask("GET", "/", "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 2\r\n"));
  for (int i = 0; i < 2; i++) {
    auto server = accept_request();
    server.send("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops");
  }
  auto last = upstream_.accept();
  EXPECT_TRUE(has(last.read_head(), "x-envoy-attempt-count: 3\r\n"));
  last.send(hello);
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
}

TEST_F(Actions, AnAnswerThatThePolicyTriesAgain) {
  rules(to_app("retries: {attempts: 2, retryOn: 5xx}"));
  app_ = dial();
  app_.send(ask("GET", "/"));
  {
    auto first = accept_request();
    first.send("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops");
  }
  auto second = upstream_.accept();
  EXPECT_TRUE(has(second.read_head(), "x-envoy-attempt-count: 2\r\n"));
  second.send(hello);
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
  EXPECT_EQ(metrics_.upstream_rq_retry.get(), 1u);
}

TEST_F(Actions, TriesAreCountedAndTheLastAnswerIsPassedOn) {
  rules(to_app("retries: {attempts: 1, retryOn: gateway-error}"));
  app_ = dial();
  app_.send(ask("GET", "/"));
  for (int i = 0; i < 2; i++) {
    auto server = accept_request();
    server.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad");
  }
  EXPECT_TRUE(has(app_.read_until("bad"), "HTTP/1.1 502 "));
  EXPECT_TRUE(has(log_text(), " 502 URX via_upstream "));
}

TEST_F(Actions, TheDefaultPolicyPassesA503On) {
  rules(to_app("name: plain"));
  EXPECT_FALSE(
      forwarded(ask("GET", "/"), "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno").empty());
  EXPECT_TRUE(has(app_.read_until("no"), "503"));
  EXPECT_EQ(metrics_.upstream_rq_retry.get(), 0u);
}

TEST_F(Actions, ATryThatTakesTooLongIsTriedAgain) {
  rules(to_app("timeout: 20s, retries: {attempts: 1, perTryTimeout: 100ms, retryOn: reset}"));
  app_ = dial();
  app_.send(ask("GET", "/"));
  auto slow = accept_request();
  auto quick = accept_request();
  quick.send(hello);
  EXPECT_TRUE(has(app_.read_until("hello"), "200 OK"));
}

TEST_F(Actions, AnAnswerThatHasBegunMayTakeLongerThanATry) {
  rules(to_app("retries: {attempts: 1, perTryTimeout: 100ms, retryOn: reset}"));
  app_ = dial();
  app_.send(ask("GET", "/"));
  auto server = accept_request();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
  app_.read_until("ab");
  std::this_thread::sleep_for(std::chrono::milliseconds(400));  // past the try's time and a tick
  server.send("cd");
  EXPECT_EQ(app_.read_exactly(2), "cd");
}

constexpr const char* cors =
    "corsPolicy: {allowOrigins: [{exact: 'https://good.test'}], allowMethods: [GET, PUT], "
    "allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 24h, allowCredentials: true}";

TEST_F(Actions, APreflightOfAnAllowedOriginIsAnsweredHere) {
  rules(to_app(cors));
  app_ = dial();
  app_.send(
      ask("OPTIONS", "/", "Origin: https://good.test\r\nAccess-Control-Request-Method: PUT\r\n"));
  const auto answer = app_.read_head();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  for (const char* field :
       {"access-control-allow-origin: https://good.test\r\n",
        "access-control-allow-credentials: true\r\n", "access-control-allow-methods: GET,PUT\r\n",
        "access-control-allow-headers: x-a\r\n", "access-control-max-age: 86400\r\n"})
    EXPECT_TRUE(has(answer, field)) << answer;
}

TEST_F(Actions, APreflightOfAForeignOriginGoesUpstream) {
  rules(to_app(cors));
  const auto request = forwarded(
      ask("OPTIONS", "/", "Origin: https://bad.test\r\nAccess-Control-Request-Method: PUT\r\n"));
  EXPECT_TRUE(request.starts_with("OPTIONS / ")) << request;
  EXPECT_FALSE(has(app_.read_until("hello"), "access-control"));
}

TEST_F(Actions, AnAnswerToAnAllowedOriginSaysSo) {
  rules(to_app(cors));
  forwarded(ask("GET", "/", "Origin: https://good.test\r\n"));
  const auto answer = app_.read_until("hello");
  EXPECT_TRUE(has(answer, "access-control-allow-origin: https://good.test\r\n")) << answer;
  EXPECT_TRUE(has(answer, "access-control-expose-headers: x-b\r\n")) << answer;
}

}  // namespace
}  // namespace sallyport::proxy
