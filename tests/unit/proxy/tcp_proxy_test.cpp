// Opaque bytes through the proxy: both directions, half-close, who speaks first, and the log line
// of each way out.
#include "agent/proxy/first_bytes.h"
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

mesh::ClusterPtr to_the_upstream;  // of the running test; a coroutine function takes no captures

net::Task<void> serve(Client client, Worker& worker) {
  TcpPlan plan{to_the_upstream, "named.test", {}};
  co_await serve_tcp(std::move(client), worker, std::move(plan));
}

net::Task<void> sniff_and_serve(Client client, Worker& worker) {
  Expected expected;
  expected.silent_client = to_the_upstream;
  auto first = co_await first_bytes(client, worker, std::move(expected));
  if (first.gone || first.failure) co_return;
  TcpPlan plan{to_the_upstream, first.preface.sni, std::move(first.upstream)};
  co_await serve_tcp(std::move(client), worker, std::move(plan));
}

class TcpProxy : public ProxyTest {
protected:
  TcpProxy() {
    auto cluster = std::make_shared<mesh::Cluster>();
    cluster->name = "outbound|9000||tcp.test";
    mesh::Endpoint endpoint;
    endpoint.ip = upstream_address().ip();
    endpoint.port = upstream_address().port();
    cluster->endpoints = {endpoint};
    to_the_upstream = cluster;
  }
  ~TcpProxy() override { to_the_upstream.reset(); }
};

TEST_F(TcpProxy, BytesPassBothWaysAndTheirEndsToo) {
  auto app = dial_as(serve);
  auto server = upstream_.accept();
  app.send("question");
  EXPECT_EQ(server.read_exactly(8), "question");
  app.shutdown_write();
  EXPECT_EQ(server.read_all(), "") << "the half-close arrives";
  server.send("answer");
  server.close();
  EXPECT_EQ(app.read_all(), "answer");
  const auto log = log_text();
  EXPECT_NE(log.find("\"- - -\" 0 - - - \"-\" 8 6 "), log.npos) << log;
  EXPECT_NE(log.find(" outbound|9000||tcp.test "), log.npos) << log;
  EXPECT_NE(log.find(" named.test -\n"), log.npos) << log;
}

TEST_F(TcpProxy, NobodyListeningClosesTheClientAndSaysSo) {
  upstream_.close();
  auto app = dial_as(serve);
  EXPECT_EQ(app.read_all(), "");
  const auto log = log_text();
  EXPECT_NE(log.find("\"- - -\" 0 UF,URX "), log.npos) << log;
}

TEST_F(TcpProxy, AServerThatSpeaksFirstIsNotKeptWaiting) {
  auto app = dial_as(sniff_and_serve);
  auto server = upstream_.accept();
  server.send("220 mail.test ready\r\n");
  EXPECT_EQ(app.read_until("\r\n"), "220 mail.test ready\r\n");
  app.send("QUIT\r\n");
  EXPECT_EQ(server.read_until("\r\n"), "QUIT\r\n");
}

TEST_F(TcpProxy, AClientThatSpeaksFirstKeepsItsBytes) {
  auto app = dial_as(sniff_and_serve);
  app.send("opaque bytes of some protocol\n");
  auto server = upstream_.accept();
  EXPECT_EQ(server.read_until("\n"), "opaque bytes of some protocol\n");
  server.send("and its answer");
  server.close();
  EXPECT_EQ(app.read_all(), "and its answer");
}

TEST_F(TcpProxy, ASilentClientThatLeavesLeavesNothingBehind) {
  auto app = dial_as(sniff_and_serve);
  app.close();
  upstream_.close();
  log_text();  // The worker ends without an open connection: ASan would tell of a leak.
}

}  // namespace
}  // namespace sallyport::proxy
