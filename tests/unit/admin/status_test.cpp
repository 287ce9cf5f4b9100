// The status port: readiness, metrics, drain and quit, and the application's probes.
#include "agent/admin/status.h"

#include "agent/core/limits.h"
#include "tests/support/sockets.h"
#include "tests/support/tls_server.h"
#include "tests/unit/admin/admin_fixture.h"

namespace sallyport::admin {
namespace {

using test::TestSocket;

class StatusPort : public AdminTest {
protected:
  std::string kubelet(const std::string& path, const std::string& host = "10.0.0.1:15020") {
    return exchange("GET " + path + " HTTP/1.1\r\nHost: " + host +
                        "\r\nUser-Agent: kube-probe/1.30\r\nX-Own: one\r\nConnection: "
                        "close\r\n\r\n",
                    To::status);
  }
  // The port again, with these probes.
  void probing(const std::string& json) {
    auto probes = decode_app_probes(json);
    ASSERT_TRUE(probes) << probes.error().context;
    Sources sources{.config = *service_};
    sources.draining = [] { return false; };
    sources.probes = std::move(*probes);
    sources.probe_options = {*IpAddress::parse("127.0.0.1"), 15020};
    sources.log = sources.warn = [this](const std::string& line) { probe_log_ += line + "\n"; };
    start(std::move(sources));
  }
  std::string probe_log_;
  static std::string http_get(uint16_t port, const std::string& more = {}) {
    return R"({"/app-health/web/readyz": {"httpGet": {"path": "/ready?x", "port": )" +
           std::to_string(port) + more + R"(}, "timeoutSeconds": 20}})";
  }
};

// Answers one connection a text, in order; remembers the heads, and whence they came.
class App {
public:
  explicit App(std::vector<std::string> answers)
      : thread_([this, answers = std::move(answers)] {
          for (const std::string& answer : answers) {
            TestSocket client = socket_.accept();
            if (!client) return;
            sockaddr_storage peer{};
            socklen_t size = sizeof peer;
            getpeername(client.fd(), reinterpret_cast<sockaddr*>(&peer), &size);
            peer_ = SocketAddress::from(reinterpret_cast<sockaddr*>(&peer)).ip().text();
            heads_.push_back(client.read_head());
            client.send(answer);
          }
        }) {}
  ~App() {
    ::shutdown(socket_.fd(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  uint16_t port() const { return socket_.local().port(); }
  const std::vector<std::string>& heads() {  // once all answers were fetched
    thread_.join();
    return heads_;
  }
  const std::string& peer() const { return peer_; }

private:
  TestSocket socket_ = TestSocket::listening();
  std::vector<std::string> heads_;
  std::string peer_;
  std::thread thread_;
};

TEST_F(StatusPort, ServesReadinessAndMetrics) {
  EXPECT_TRUE(has(get("/healthz/ready", To::status), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/stats/prometheus", To::status), "sallyport_config_loads_total{} 1\n"));
  EXPECT_TRUE(has(get("/metrics", To::status), "more_metrics 1\n"));
  EXPECT_TRUE(has(get("/config_dump", To::status), "HTTP/1.1 404"));
}

TEST_F(StatusPort, DrainsAndQuitsOnPost) {
  EXPECT_TRUE(has(get("/drain", To::status), "HTTP/1.1 405"));
  EXPECT_TRUE(has(get("/quitquitquit", To::status), "HTTP/1.1 405"));
  EXPECT_FALSE(quit_ || agent_drained_);
  EXPECT_TRUE(has(post("/drain", To::status), "\r\n\r\nOK"));
  EXPECT_TRUE(agent_drained_);
  EXPECT_TRUE(has(post("/quitquitquit", To::status), "\r\n\r\nOK"));
  EXPECT_TRUE(quit_);
}

TEST_F(StatusPort, ButOnlyForThisPod) {
  const auto pages = std::make_shared<Pages>(Sources{.config = *service_});
  bool done = false;
  StatusPages status(pages, Prober(io_, {}, {}), AppMetrics(io_, {}),
                     {[&] { done = true; }, [&] { done = true; }});
  for (const char* path : {"/drain", "/quitquitquit"}) {
    status.answer({.method = "POST", .target = path, .from_loopback = false}, [&](Response answer) {
      EXPECT_EQ(answer.status, 403) << path;
      EXPECT_FALSE(answer.after);
    });
  }
  EXPECT_FALSE(done);
}

TEST_F(StatusPort, AProbeReachesTheApplicationAsKubeletSentIt) {
  App app({"HTTP/1.1 418 Teapot\r\nContent-Length: 4\r\n\r\ntea!"});
  probing(http_get(app.port()));
  const auto answer = kubelet("/app-health/web/readyz");
  EXPECT_TRUE(has(answer, "HTTP/1.1 418"));
  EXPECT_TRUE(has(answer, "\r\n\r\ntea!"));
  const std::string head = app.heads().at(0);
  EXPECT_TRUE(has(head, "GET /ready?x HTTP/1.1\r\n"));
  EXPECT_TRUE(has(head, "Host: 10.0.0.1:" + std::to_string(app.port()) + "\r\n"));
  EXPECT_TRUE(has(head, "User-Agent: kube-probe/1.30\r\n"));
  EXPECT_TRUE(has(head, "X-Own: one\r\n"));
  EXPECT_EQ(app.peer(), "127.0.0.6");
}

TEST_F(StatusPort, NobodyTellsTheApplicationThroughItWhomAProxyLetIn) {
  App app({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
  probing(http_get(app.port()));
  exchange(
      "GET /app-health/web/readyz HTTP/1.1\r\nHost: 10.0.0.1:15020\r\n"
      "X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\n"
      "x-forwarded-for: 10.0.0.7\r\nX-Envoy-Internal: true\r\nX-Forward: stays\r\n"
      "Connection: close\r\n\r\n",
      To::status);
  const std::string head = app.heads().at(0);
  for (const char* name : {"Client-Cert", "10.0.0.7", "Envoy"})
    EXPECT_EQ(head.find(name), std::string::npos) << head;
  EXPECT_TRUE(has(head, "X-Forward: stays\r\n"));
}

TEST_F(StatusPort, AHostOfTheProbesOwnStays) {
  App app({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
  probing(http_get(app.port()));
  EXPECT_TRUE(has(kubelet("/app-health/web/readyz", "web.test:81"), "HTTP/1.1 200"));
  EXPECT_TRUE(has(app.heads().at(0), "Host: web.test:81\r\n"));
}

TEST_F(StatusPort, RedirectsToTheSameHostAreFollowed) {
  App app({"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
           "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"});
  probing(http_get(app.port()));
  EXPECT_TRUE(has(kubelet("/app-health/web/readyz"), "HTTP/1.1 503"));
  EXPECT_TRUE(has(app.heads().at(1), "GET /other HTTP/1.1\r\n"));
}

TEST_F(StatusPort, OneToAnotherHostIsASuccess) {
  App app({"HTTP/1.1 302 Found\r\nLocation: http://else.test/\r\nContent-Length: 0\r\n\r\n"});
  probing(http_get(app.port()));
  EXPECT_TRUE(has(kubelet("/app-health/web/readyz"), "HTTP/1.1 200"));
}

TEST_F(StatusPort, TenRedirectsAreOneTooMany) {
  const std::string round = "HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
  App app(std::vector<std::string>(10, round));
  probing(http_get(app.port()));
  const auto answer = kubelet("/app-health/web/readyz");
  EXPECT_TRUE(has(answer, "HTTP/1.1 500"));
  EXPECT_TRUE(has(answer, "stopped after 10 redirects"));
}

TEST_F(StatusPort, ALongBodyIsCut) {
  const std::string body(3 * limits::app_probe_body_bytes, 'b');
  App app({"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body});
  probing(http_get(app.port()));
  const auto answer = kubelet("/app-health/web/readyz");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, limits::app_probe_body_bytes);
}

TEST_F(StatusPort, HttpsIsAskedWithoutVerification) {
  const auto ca = test::Authority::root("unknown to anybody");
  test::TlsServer app({.certificate = ca.issue({.dns = {"a.test"}})});
  probing(http_get(app.address().port(), R"(, "scheme": "HTTPS")"));
  const auto answer = kubelet("/app-health/web/readyz");
  // The server echoes: the request that it read is no answer.
  EXPECT_TRUE(has(answer, "HTTP/1.1 500"));
  EXPECT_TRUE(has(answer, "read the answer: "));
  EXPECT_EQ(app.accepted(), 1);
}

TEST_F(StatusPort, WhoDoesNotAnswerInTimeHasFailed) {
  const TestSocket silent = TestSocket::listening();
  probing(R"({"/app-health/web/livez": {"httpGet": {"port": )" +
          std::to_string(silent.local().port()) + "}}}");
  const auto answer = kubelet("/app-health/web/livez");
  EXPECT_TRUE(has(answer, "HTTP/1.1 500"));
  EXPECT_TRUE(has(answer, "read the answer: The socket was closed due to a timeout"));
}

TEST_F(StatusPort, ATcpProbeAsksWhetherSomebodyListens) {
  const auto probe = [](uint16_t port) {
    return R"({"/app-health/web/livez": {"tcpSocket": {"port": )" + std::to_string(port) + "}}}";
  };
  TestSocket app = TestSocket::listening();
  const uint16_t port = app.local().port();
  probing(probe(port));
  EXPECT_TRUE(has(kubelet("/app-health/web/livez"), "HTTP/1.1 200"));
  app.close();
  EXPECT_TRUE(has(kubelet("/app-health/web/livez"), "HTTP/1.1 500"));
}

TEST_F(StatusPort, TheLogHasAFailingProbeOnceWithItsCauseAndOnceThatItIsWellAgain) {
  const std::string bad = "HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nno\ndisk!!",
                    good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  App app({good, bad, bad, good, good});
  probing(http_get(app.port()));
  for (int i = 0; i < 5; i++) kubelet("/app-health/web/readyz");
  const std::string place =
      "original URL path = /app-health/web/readyz, app URL path = /ready?x, "
      "port = " +
      std::to_string(app.port()) + "\n";
  EXPECT_EQ(probe_log_, "Request to probe app failed: 503: no, " + place +
                            "Request to probe app succeeds again: " + place);
}

TEST_F(StatusPort, AProbeThatNobodyDeclaredIsABadRequest) {
  const auto answer = kubelet("/app-health/other/livez");
  EXPECT_TRUE(has(answer, "HTTP/1.1 400"));
  EXPECT_TRUE(has(answer, "app prober config does not exists for /app-health/other/livez"));
}

TEST_F(StatusPort, ProbesBeyondTheLimitAreRefused) {
  const TestSocket silent = TestSocket::listening();
  auto probes = decode_app_probes(http_get(silent.local().port()));
  Prober prober(io_, *probes, {*IpAddress::parse("127.0.0.1"), 15020});
  std::vector<int> answers;
  const Done done = [&](Response answer) { answers.push_back(answer.status); };
  for (std::size_t i = 0; i <= limits::app_probes_at_once; ++i)
    prober.probe("/app-health/web/readyz", {.method = "GET"}, done);
  EXPECT_EQ(answers, std::vector<int>{503});
}

TEST_F(StatusPort, SlowHooksLeaveRoomForLiveness) {
  const TestSocket silent = TestSocket::listening();
  const std::string port = std::to_string(silent.local().port());
  auto probes =
      decode_app_probes(R"({"/app-lifecycle/web/prestopz": {"httpGet": {"port": )" + port +
                        R"(}}, "/app-health/web/livez": {"tcpSocket": {"port": )" + port + "}}}");
  ASSERT_TRUE(probes) << probes.error().context;
  Prober prober(io_, *probes, {*IpAddress::parse("127.0.0.1"), 15020});
  std::vector<int> answers;
  const Done done = [&](Response answer) { answers.push_back(answer.status); };
  for (std::size_t i = 0; i <= app_hooks_at_once; ++i)
    prober.probe("/app-lifecycle/web/prestopz", {.method = "GET"}, done);
  EXPECT_EQ(answers, std::vector<int>{503});
  prober.probe("/app-health/web/livez", {.method = "GET"}, done);
  io_.restart();
  while (answers.size() < 2) io_.run_one();
  EXPECT_EQ(answers.back(), 200);
}

}  // namespace
}  // namespace sallyport::admin
