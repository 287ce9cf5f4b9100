// The admin port as a client sees it.
#include "agent/admin/connection.h"
#include "agent/core/limits.h"
#include "tests/unit/admin/admin_fixture.h"

namespace sallyport::admin {
namespace {

TEST_F(AdminTest, ReadySaysLiveThenDraining) {
  EXPECT_TRUE(has(get("/ready"), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/ready"), "\r\n\r\nLIVE\n"));
  draining_ = true;
  EXPECT_TRUE(has(get("/ready"), "HTTP/1.1 503"));
  EXPECT_TRUE(has(get("/ready"), "DRAINING"));
}

TEST_F(AdminTest, BeforeItIsReadyItSaysWhatItWaitsFor) {
  missing_ = "the CA has not answered";
  for (const auto& answer :
       {get("/ready"), get("/healthz/ready", To::health), get("/healthz/ready", To::status)}) {
    EXPECT_TRUE(has(answer, "HTTP/1.1 503"));
    EXPECT_TRUE(has(answer, "\r\n\r\nINITIALIZING\ncertificate: the CA has not answered\n"));
  }
  EXPECT_EQ(log_, "the proxy is NOT ready: certificate: the CA has not answered\n") << "told once";
  missing_.clear();
  get("/ready");
  EXPECT_TRUE(has(log_, "\nthe proxy is ready\n"));
}

TEST_F(AdminTest, TheHealthPortAnswersKubelet) {
  EXPECT_TRUE(has(get("/healthz/ready", To::health), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/config_dump", To::health), "HTTP/1.1 404"));
  draining_ = true;
  EXPECT_TRUE(has(get("/healthz/ready", To::health), "HTTP/1.1 503"));
}

TEST_F(AdminTest, FailedHealthCheckTurnsReadinessOffUntilItIsOkAgain) {
  EXPECT_TRUE(has(post("/healthcheck/fail"), "HTTP/1.1 200"));
  EXPECT_TRUE(has(get("/ready"), "HTTP/1.1 503"));
  EXPECT_TRUE(has(get("/healthz/ready", To::health), "HTTP/1.1 503"));
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

TEST_F(AdminTest, DrainsListenersInEnvoysWords) {
  EXPECT_TRUE(has(get("/drain_listeners"), "HTTP/1.1 405"));
  EXPECT_TRUE(has(post("/drain_listeners?skip_exit"), "HTTP/1.1 400"));
  EXPECT_TRUE(drained_.empty());
  EXPECT_TRUE(has(post("/drain_listeners"), "\r\n\r\nOK\n"));
  EXPECT_TRUE(has(post("/drain_listeners?inboundonly&graceful"), "\r\n\r\nOK\n"));
  EXPECT_TRUE(has(post("/drain_listeners?graceful&skip_exit"), "\r\n\r\nOK\n"));
  ASSERT_EQ(drained_.size(), 3U);
  EXPECT_FALSE(drained_[0].inbound_only || drained_[0].graceful || drained_[0].keep_listening);
  EXPECT_TRUE(drained_[1].inbound_only && drained_[1].graceful && !drained_[1].keep_listening);
  EXPECT_TRUE(!drained_[2].inbound_only && drained_[2].graceful && drained_[2].keep_listening);
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

TEST_F(AdminTest, SilentConnectionsMakeRoomForWhoeverAsks) {
  for (const To port : {To::admin, To::health, To::status}) {
    sockaddr_storage storage{};
    const socklen_t size = address(port).fill(storage);
    std::vector<int> silent;
    for (std::size_t i = 0; i < limits::admin_connections; ++i) {
      silent.push_back(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(connect(silent.back(), reinterpret_cast<sockaddr*>(&storage), size), 0);
    }
    const auto asked = std::chrono::steady_clock::now();
    const auto answer = get(port == To::admin ? "/ready" : "/healthz/ready", port);
    EXPECT_TRUE(has(answer, "HTTP/1.1 200"));
    EXPECT_LT(std::chrono::steady_clock::now() - asked, network_head_time / 2);
    char byte = 0;
    EXPECT_EQ(recv(silent.front(), &byte, 1, MSG_DONTWAIT), 0) << "the oldest has gone";
    EXPECT_EQ(recv(silent.back(), &byte, 1, MSG_DONTWAIT), -1) << "the newest has not";
    for (const int fd : silent) close(fd);
  }
}

TEST_F(AdminTest, APortInUseIsAnErrorWithTheAddress) {
  const auto again = Server::start(io_, {address(To::admin), {}, {}}, {.config = *service_});
  ASSERT_FALSE(again);
  EXPECT_TRUE(has(again.error().context, address(To::admin).text()));
}

}  // namespace
}  // namespace sallyport::admin
