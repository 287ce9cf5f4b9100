// The admin port as a client sees it.
#include "agent/admin/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/core/limits.h"

namespace sallyport::admin {
namespace {

class AdminTest : public testing::Test {
protected:
  AdminTest() {
    char path[] = "/tmp/sallyport-admin-XXXXXX";
    directory_ = mkdtemp(path);
    std::ofstream(directory_ / "entry.yaml")
        << "apiVersion: networking.istio.io/v1\n"
           "kind: ServiceEntry\n"
           "metadata: {name: external}\n"
           "spec:\n"
           "  hosts: [a.test]\n"
           "  ports: [{number: 80, name: http, protocol: HTTP}]\n"
           "  resolution: STATIC\n"
           "  endpoints: [{address: 10.0.0.1}]\n";
    service_.emplace(io_, config::Options{directory_.string(), "", {}, "cluster.local"},
                     [](const std::string&) {});
    EXPECT_TRUE(service_->start());
    Sources sources{
        .config = *service_,
        .workers = {&metrics_},
        .clusters = [this](auto done) { boost::asio::post(io_, [done] { done({}); }); },
        .ready = [this] { return ready_; },
        .quit = [this] { quit_ = true; },
        .more_metrics = [] { return std::string("more_metrics 1\n"); },
        .set_log_level =
            [this](const std::string& logger, const std::string& level) {
              if (level != "debug" || logger == "nobody") return false;
              level_ = logger + "=" + level;
              return true;
            },
        .log_levels =
            [] {
              return std::vector<std::pair<std::string, std::string>>{{"config", "info"},
                                                                      {"main", "debug"}};
            },
    };
    const SocketAddress any(*IpAddress::parse("127.0.0.1"), 0);
    auto server = Server::start(io_, any, {any}, std::move(sources));
    EXPECT_TRUE(server);
    server_ = std::move(*server);
  }
  ~AdminTest() override {
    server_.reset();
    service_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Sends `bytes` and reads until the server closes.
  std::string exchange(const std::string& bytes, bool health = false) {
    const auto to = health ? server_->health_addresses().at(0) : server_->address();
    std::string answer;
    std::thread client([&] {
      answer = talk(to, bytes);
      boost::asio::post(io_, [this] { io_.stop(); });
    });
    io_.restart();
    io_.run();
    client.join();
    return answer;
  }
  std::string get(const std::string& target, bool health = false) {
    return exchange("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", health);
  }
  std::string post(const std::string& target) {
    return exchange("POST " + target +
                    " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  }

  static std::string talk(const SocketAddress& to, const std::string& bytes) {
    sockaddr_storage storage{};
    const socklen_t size = to.fill(storage);
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&storage), size), 0);
    send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) answer.append(buffer, size_t(n));
    close(fd);
    return answer;
  }

  bool ready_ = true, quit_ = false;
  std::string level_;
  std::filesystem::path directory_;
  boost::asio::io_context io_{1};
  observe::WorkerMetrics metrics_;
  std::optional<config::Service> service_;
  std::unique_ptr<Server> server_;
};

testing::AssertionResult has(const std::string& answer, std::string_view part) {
  if (answer.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' in:\n" << answer;
}

TEST_F(AdminTest, ReadySaysLiveThenDraining) {
  EXPECT_TRUE(has(get("/ready"), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/ready"), "\r\n\r\nLIVE\n"));
  ready_ = false;
  EXPECT_TRUE(has(get("/ready"), "HTTP/1.1 503"));
  EXPECT_TRUE(has(get("/ready"), "DRAINING"));
}

TEST_F(AdminTest, BeforeItIsReadyItSaysInitializing) {
  ready_ = false;
  EXPECT_TRUE(has(get("/ready"), "INITIALIZING"));
}

TEST_F(AdminTest, TheHealthPortAnswersKubelet) {
  EXPECT_TRUE(has(get("/healthz/ready", true), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/config_dump", true), "HTTP/1.1 404"));
  ready_ = false;
  EXPECT_TRUE(has(get("/healthz/ready", true), "HTTP/1.1 503"));
}

TEST_F(AdminTest, FailedHealthCheckTurnsReadinessOffUntilItIsOkAgain) {
  EXPECT_TRUE(has(post("/healthcheck/fail"), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/ready"), "HTTP/1.1 503"));
  EXPECT_TRUE(has(get("/healthz/ready", true), "HTTP/1.1 503"));
  EXPECT_TRUE(has(post("/healthcheck/ok"), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/ready"), "HTTP/1.1 200"));
}

TEST_F(AdminTest, ShowsTheConfigurationInForce) {
  const auto answer = get("/config_dump");
  EXPECT_TRUE(has(answer, "Content-Type: application/json"));
  EXPECT_TRUE(has(answer, "outbound|80||a.test"));
  EXPECT_TRUE(has(answer, "ServiceEntry default/external"));
}

TEST_F(AdminTest, ShowsClustersAsTextAndAsJson) {
  EXPECT_TRUE(has(get("/clusters"), "outbound|80||a.test::10.0.0.1:80::health_flags::healthy"));
  EXPECT_TRUE(has(get("/clusters?format=json"), "\"cluster_statuses\""));
}

TEST_F(AdminTest, ShowsCertificates) { EXPECT_TRUE(has(get("/certs"), "\"certificates\"")); }

TEST_F(AdminTest, ShowsCounters) {
  metrics_.downstream_cx_total.add(5);
  const auto prometheus = get("/stats/prometheus");
  EXPECT_TRUE(has(prometheus, "envoy_http_downstream_cx_total{} 5\n"));
  EXPECT_TRUE(has(prometheus, "sallyport_config_loads_total{} 1\n"));
  EXPECT_TRUE(has(prometheus, "more_metrics 1\n"));
  EXPECT_TRUE(has(get("/stats?format=prometheus"), "envoy_http_downstream_cx_total{} 5\n"));
  EXPECT_TRUE(has(get("/stats"), "\nenvoy_http_downstream_cx_total: 5\n"));
}

TEST_F(AdminTest, SaysWhatItIs) {
  const auto answer = get("/server_info");
  EXPECT_TRUE(has(answer, "\"state\": \"LIVE\""));
  EXPECT_TRUE(has(answer, "\"version\": \"sallyport/"));
}

TEST_F(AdminTest, QuitsOnPostOnlyAndAnswersFirst) {
  EXPECT_TRUE(has(get("/quitquitquit"), "HTTP/1.1 405"));
  EXPECT_FALSE(quit_);
  EXPECT_TRUE(has(post("/quitquitquit"), "\r\n\r\nOK\n"));
  EXPECT_TRUE(quit_);
}

TEST_F(AdminTest, MutatingPagesRefuseGetAndOthersRefusePost) {
  for (const auto* page : {"/healthcheck/fail", "/healthcheck/ok", "/logging?level=debug"}) {
    EXPECT_TRUE(has(get(page), "HTTP/1.1 405")) << page;
    EXPECT_TRUE(has(get(page), "Allow: POST")) << page;
  }
  EXPECT_TRUE(has(post("/config_dump"), "HTTP/1.1 405"));
  EXPECT_EQ(level_, "");
}

TEST_F(AdminTest, ListsAndSetsLogLevels) {
  const std::string listing = "\r\n\r\nactive loggers:\n  config: info\n  main: debug\n";
  EXPECT_TRUE(has(post("/logging"), listing));
  EXPECT_EQ(level_, "") << "nothing was asked for";
  EXPECT_TRUE(has(post("/logging?level=debug"), listing));
  EXPECT_EQ(level_, "=debug") << "all loggers";
  EXPECT_TRUE(has(post("/logging?config=debug"), listing));
  EXPECT_EQ(level_, "config=debug");
  for (const auto* wrong : {"level=loud", "nobody=debug", "config", "config="}) {
    EXPECT_TRUE(has(post(std::string("/logging?") + wrong), "HTTP/1.1 400")) << wrong;
  }
}

TEST_F(AdminTest, AnUnknownPageGetsTheList) {
  const auto answer = get("/nothing");
  EXPECT_TRUE(has(answer, "HTTP/1.1 404"));
  EXPECT_TRUE(has(answer, "/config_dump"));
  EXPECT_TRUE(has(get("/"), "/quitquitquit (POST)"));
}

TEST_F(AdminTest, ServesSeveralRequestsOnOneConnection) {
  const auto answer = exchange(
      "GET /ready HTTP/1.1\r\nHost: x\r\n\r\nGET /ready HTTP/1.1\r\nHost: x\r\nConnection: "
      "close\r\n\r\n");
  EXPECT_NE(answer.find("LIVE"), answer.rfind("LIVE"));
}

TEST_F(AdminTest, WhatIsNoRequestIsRefused) {
  EXPECT_TRUE(has(exchange("\x16\x03\x01 hello\r\n\r\n"), "HTTP/1.1 400"));
  const std::string long_head(2 * limits::admin_head_bytes, 'a');
  EXPECT_TRUE(
      has(exchange("GET / HTTP/1.1\r\nHost: x\r\nA: " + long_head + "\r\n\r\n"), "HTTP/1.1 4"));
  EXPECT_TRUE(
      has(exchange("POST /quitquitquit HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"),
          "HTTP/1.1 413"));
  EXPECT_FALSE(quit_);
}

TEST_F(AdminTest, MoreConnectionsThanItTakesWaitForTheirTurn) {
  sockaddr_storage storage{};
  const socklen_t size = server_->address().fill(storage);
  std::vector<int> silent;
  for (std::size_t i = 0; i < limits::admin_connections; ++i) {
    silent.push_back(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(silent.back(), reinterpret_cast<sockaddr*>(&storage), size), 0);
  }
  io_.restart();
  while (io_.poll_one() != 0) {
  }
  for (const int fd : silent) close(fd);
  EXPECT_TRUE(has(get("/ready"), "LIVE"));
}

TEST_F(AdminTest, APortInUseIsAnErrorWithTheAddress) {
  const auto again = Server::start(io_, server_->address(), {}, {.config = *service_});
  ASSERT_FALSE(again);
  EXPECT_TRUE(has(again.error().context, server_->address().text()));
}

}  // namespace
}  // namespace sallyport::admin
