// What Istio's metrics count of what goes through the proxy.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

mesh::ClusterPtr counted_upstream;  // of the running test; a coroutine function takes no captures

net::Task<void> serve_bytes(Client client, Worker& worker) {
  TcpPlan plan{counted_upstream, "", {}};
  co_await serve_tcp(std::move(client), worker, std::move(plan));
}

class CountedTraffic : public ProxyTest {
protected:
  CountedTraffic() {
    auto cluster = std::make_shared<mesh::Cluster>();
    cluster->name = "outbound|9000||tcp.test";
    cluster->host = "tcp.test";
    cluster->service = std::make_shared<const ResourceRef>(
        ResourceRef{.kind = "ServiceEntry", .namespace_name = {}, .name = {}, .file = {}});
    mesh::Endpoint endpoint;
    endpoint.ip = upstream_address().ip();
    endpoint.port = upstream_address().port();
    cluster->endpoints = {endpoint};
    counted_upstream = cluster;
  }
  ~CountedTraffic() override { counted_upstream.reset(); }

  // The value of the only series of `metric` whose labels have all of `parts`; -1: there is none.
  int64_t value(const std::string& metric, const std::vector<std::string>& parts) const {
    std::istringstream all(observe::prometheus_text({&metrics_}));
    int64_t found = -1;
    for (std::string line; std::getline(all, line);) {
      bool fits = line.starts_with(metric + "{");
      for (const auto& part : parts) fits = fits && has(line, part);
      if (!fits) continue;
      EXPECT_EQ(found, -1) << line;
      found = std::stoll(line.substr(line.rfind(' ') + 1));
    }
    return found;
  }
};

TEST_F(CountedTraffic, ARequestIsCountedWithItsAnswer) {
  auto app = dial();
  app.send(get);
  auto server = accept_request();
  server.send(hello);
  EXPECT_TRUE(has(app.read_until("hello"), "200 OK"));
  app.close();
  log_text();
  EXPECT_EQ(value("istio_requests_total",
                  {"reporter=\"source\"", "destination_service=\"app.test\"",
                   "response_code=\"200\"", "request_protocol=\"http\"", "response_flags=\"-\""}),
            1);
  EXPECT_EQ(value("istio_response_bytes_sum", {"destination_service_name=\"app.test\""}), 5);
  EXPECT_EQ(value("istio_request_duration_milliseconds_count", {}), 1);
}

TEST_F(CountedTraffic, ARequestThatNobodyAnswersIsCountedWithItsFlag) {
  upstream_.close();
  auto app = dial();
  app.send(get);
  EXPECT_TRUE(has(app.read_until("\r\n\r\n"), "503"));
  app.close();
  log_text();
  EXPECT_EQ(value("istio_requests_total", {"response_code=\"503\"", "UF"}), 1);
}

TEST_F(CountedTraffic, BytesOfAConnectionAreCountedByItsEnd) {
  auto app = dial_as(serve_bytes);
  auto server = upstream_.accept();
  app.send("question");
  EXPECT_EQ(server.read_exactly(8), "question");
  server.send("answer");
  server.close();
  app.shutdown_write();
  EXPECT_EQ(app.read_all(), "answer");
  log_text();
  const std::vector<std::string> to = {"destination_service=\"tcp.test\"",
                                       "request_protocol=\"tcp\""};
  EXPECT_EQ(value("istio_tcp_connections_opened_total", to), 1);
  EXPECT_EQ(value("istio_tcp_connections_closed_total", to), 1);
  EXPECT_EQ(value("istio_tcp_received_bytes_total", to), 8);
  EXPECT_EQ(value("istio_tcp_sent_bytes_total", to), 6);
  EXPECT_EQ(value("istio_requests_total", {}), -1);
}

TEST_F(CountedTraffic, AnOpenConnectionIsCountedBeforeItsEnd) {
  use(
      one_service("---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t}\n"
                  "spec: {metrics: [{reportingInterval: 0.3s}]}\n"));
  auto app = dial_as(serve_bytes);
  auto server = upstream_.accept();
  app.send("question");
  EXPECT_EQ(server.read_exactly(8), "question");
  for (int i = 0; i < 100 && value("istio_tcp_received_bytes_total", {}) != 8; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(value("istio_tcp_received_bytes_total", {}), 8);
  EXPECT_EQ(value("istio_tcp_connections_opened_total", {}), 1);
  EXPECT_EQ(value("istio_tcp_connections_closed_total", {}), 0);
  server.close();
  app.close();
}

TEST_F(CountedTraffic, AnUnreachableUpstreamOfBytesIsOpenedAndClosed) {
  upstream_.close();
  auto app = dial_as(serve_bytes);
  EXPECT_EQ(app.read_all(), "");
  log_text();
  EXPECT_EQ(value("istio_tcp_connections_opened_total", {"response_flags=\"UF,URX\""}), 1);
  EXPECT_EQ(value("istio_tcp_connections_closed_total", {"response_flags=\"UF,URX\""}), 1);
}

}  // namespace
}  // namespace sallyport::proxy
