// The application's metrics behind the proxy's, on 15020; the proxy's alone on 15090.
#include "agent/admin/app_metrics.h"

#include "agent/core/limits.h"
#include "tests/support/sockets.h"
#include "tests/unit/admin/admin_fixture.h"

namespace sallyport::admin {
namespace {

std::string targets(const std::string& json) {
  const auto read = decode_scrape_targets(json, 15030);
  if (!read) return read.error().context;
  std::string out;
  for (const auto& one : *read) out += std::to_string(one.port) + one.path + " ";
  return out;
}

TEST(ScrapeTargets, AreReadAsTheInjectorWroteThem) {
  EXPECT_EQ(targets(""), "");
  EXPECT_EQ(targets("{}"), "80/metrics ");
  EXPECT_EQ(targets(R"({"scrape":"true","path":"m","port":"8080"})"), "8080/m ");
  EXPECT_EQ(targets(R"({"scrape":"false","port":"8080"})"), "");
  EXPECT_EQ(targets(R"({"port":"1","targets":[{"port":"81"},{"port":"82","path":"/x"}]})"),
            "81/metrics 82/x ");
}

TEST(ScrapeTargets, SayWhatIsWrongWithThem) {
  const std::string who = "ISTIO_PROMETHEUS_ANNOTATIONS: ";
  EXPECT_EQ(targets("[]"), who + "a JSON object was expected");
  EXPECT_EQ(targets(R"({"port":"web"})"), who + "port: \"web\" is no port");
  EXPECT_EQ(targets(R"({"port":"65536"})"), who + "port: \"65536\" is no port");
  EXPECT_EQ(targets(R"({"port":8080})"), who + "port: a string was expected");
  for (const char* own : {"15020", "15090", "15030"})
    EXPECT_EQ(targets("{\"port\":\"" + std::string(own) + "\"}"),
              who + "port: " + own + " is the proxy's own, which would scrape itself");
  EXPECT_EQ(targets(R"({"path":"/a b"})"),
            who + "path: blanks and control characters can't be sent");
  EXPECT_EQ(targets(R"({"targets":"x"})"), who + "targets: a list was expected");
  EXPECT_EQ(targets(R"({"targets":[{}]})"), who + "targets: an object with a port was expected");
}

// Answers one connection with `answer` and keeps what it was asked; an empty answer is none, until
// the client leaves.
class Application {
public:
  explicit Application(const std::string& answer)
      : thread_([this, answer] {
          test::TestSocket client = socket_.accept();
          if (!client) return;
          asked_ = client.read_head();
          client.send(answer);
          if (answer.empty()) client.read_head();
        }) {}
  ~Application() {
    ::shutdown(socket_.fd(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  uint16_t port() const { return socket_.local().port(); }
  const std::string& asked() {  // once it was
    if (thread_.joinable()) thread_.join();
    return asked_;
  }

private:
  test::TestSocket socket_ = test::TestSocket::listening();
  std::string asked_;
  std::thread thread_;
};

std::string metrics_answer(const std::string& body, const std::string& type = "text/plain") {
  return "HTTP/1.1 200 OK\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class AppMetricsTest : public AdminTest {
protected:
  void scraping(std::vector<uint16_t> ports) {
    Sources sources{.config = *service_, .workers = {&metrics_}, .draining = [] { return false; }};
    for (const auto port : ports) sources.scrape_targets.push_back({port, "/m"});
    sources.warn = [this](const std::string& line) { log_ += line + "\n"; };
    const SocketAddress any(*IpAddress::parse("127.0.0.1"), 0);
    auto server = Server::start(io_, {any, {}, {any}, {any}}, std::move(sources));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
  }
  // As Prometheus asks.
  std::string scrape(const std::string& seconds = "9.5", bool own = false) {
    const auto ports = server_->ports();
    const auto to = own ? ports.metrics.at(0) : ports.status.at(0);
    std::string answer;
    std::thread client([&] {
      answer = talk(to,
                    "GET /stats/prometheus HTTP/1.1\r\nHost: x\r\nUser-Agent: Prometheus/3\r\n"
                    "X-Prometheus-Scrape-Timeout-Seconds: " +
                        seconds + "\r\nConnection: close\r\n\r\n");
      boost::asio::post(io_, [this] { io_.stop(); });
    });
    io_.restart();
    io_.run();
    client.join();
    return answer;
  }
};

TEST_F(AppMetricsTest, StandBehindTheProxysOwn) {
  Application app(metrics_answer("app_metric 7"));
  scraping({app.port()});
  const auto answer = scrape();
  EXPECT_TRUE(has(answer, "envoy_http_downstream_cx_total{} 0\n"));
  EXPECT_TRUE(has(answer, "istio_agent_scrapes_total 1\n"));
  EXPECT_TRUE(answer.ends_with("\napp_metric 7\n")) << answer;
  EXPECT_TRUE(has(answer, "Content-Type: text/plain; version=0.0.4"));
  EXPECT_TRUE(has(app.asked(), "GET /m HTTP/1.1\r\nHost: localhost:"));
  EXPECT_TRUE(has(app.asked(), "User-Agent: Prometheus/3\r\n"));
  EXPECT_TRUE(has(app.asked(), "X-Prometheus-Scrape-Timeout-Seconds: 9.5\r\n"));
}

TEST_F(AppMetricsTest, OfSeveralTargetsEndOnce) {
  Application first(
      metrics_answer("one 1\n# EOF\n", "application/openmetrics-text; version=1.0.0"));
  Application second(metrics_answer("two 2\n# EOF\n", "application/openmetrics-text"));
  scraping({first.port(), second.port()});
  const auto answer = scrape();
  EXPECT_TRUE(answer.ends_with("\none 1\ntwo 2\n# EOF\n")) << answer;
  EXPECT_TRUE(has(answer, "Content-Type: application/openmetrics-text; version=1.0.0\r\n"));
}

TEST_F(AppMetricsTest, ThatFailCostNoneOfTheProxysOwn) {
  Application wrong("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
  Application good(metrics_answer("good 1\n"));
  scraping({wrong.port(), good.port()});
  const auto answer = scrape();
  EXPECT_TRUE(has(answer, "envoy_http_downstream_cx_total{} 0\n"));
  EXPECT_TRUE(has(answer, "istio_agent_scrape_failures_total{type=\"application\"} 1\n"));
  EXPECT_TRUE(has(answer, "\ngood 1\n"));
  EXPECT_TRUE(has(log_, "/m: status code 500"));
}

TEST_F(AppMetricsTest, AreNotWaitedForLongerThanPrometheusDoes) {
  Application silent("");
  scraping({silent.port()});
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(has(scrape("0.2"), "istio_agent_scrape_failures_total{type=\"application\"} 1\n"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

TEST_F(AppMetricsTest, OfMoreThanTheLimitAreLeftOut) {
  Application huge("HTTP/1.1 200 OK\r\nContent-Length: " +
                   std::to_string(limits::app_metrics_bytes + 1) + "\r\n\r\n");
  scraping({huge.port()});
  EXPECT_TRUE(has(scrape(), "istio_agent_scrape_failures_total{type=\"application\"} 1\n"));
}

TEST_F(AppMetricsTest, AreNoMatterOfTheMetricsPort) {
  scraping({1});
  const auto answer = scrape("1", true);
  EXPECT_TRUE(has(answer, "HTTP/1.1 200 OK"));
  EXPECT_TRUE(has(answer, "envoy_http_downstream_cx_total{} 0\n"));
  EXPECT_TRUE(has(answer, "istio_build{component=\"proxy\",tag=\""));
  EXPECT_EQ(answer.find("scrape_failures"), std::string::npos);
  EXPECT_EQ(log_, "");
}

}  // namespace
}  // namespace sallyport::admin
