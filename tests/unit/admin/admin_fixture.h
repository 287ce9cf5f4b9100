// The agent's ports with a small configuration behind them, and a client.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/admin/server.h"

namespace sallyport::admin {

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
        .conditions = {{"certificate", [this] { return missing_; }}},
        .draining = [this] { return draining_; },
        .drain = [this](const Drain& how) { drained_.push_back(how); },
        .drain_agent = [this] { agent_drained_ = true; },
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
        .log = [this](const std::string& line) { log_ += line + "\n"; },
    };
    start(std::move(sources));
  }
  void start(Sources sources) {
    const SocketAddress any(*IpAddress::parse("127.0.0.1"), 0);
    auto server = Server::start(io_, {any, {any}, {any}}, std::move(sources));
    EXPECT_TRUE(server);
    server_ = std::move(*server);
  }
  ~AdminTest() override {
    server_.reset();
    service_.reset();
    std::filesystem::remove_all(directory_);
  }

  enum class To { admin, health, status };
  SocketAddress address(To port) const {
    const Ports ports = server_->ports();
    return port == To::admin    ? ports.admin
           : port == To::health ? ports.health.at(0)
                                : ports.status.at(0);
  }
  // Sends `bytes` and reads until the server closes.
  std::string exchange(const std::string& bytes, To port = To::admin) {
    const auto to = address(port);
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
  std::string get(const std::string& target, To port = To::admin) {
    return exchange("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", port);
  }
  std::string post(const std::string& target, To port = To::admin) {
    return exchange(
        "POST " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        port);
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

  std::string missing_, level_, log_;
  bool draining_ = false, quit_ = false, agent_drained_ = false;
  std::vector<Drain> drained_;
  std::filesystem::path directory_;
  boost::asio::io_context io_{1};
  observe::WorkerMetrics metrics_;
  std::optional<config::Service> service_;
  std::unique_ptr<Server> server_;
};

inline testing::AssertionResult has(const std::string& answer, std::string_view part) {
  if (answer.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' in:\n" << answer;
}

}  // namespace sallyport::admin
