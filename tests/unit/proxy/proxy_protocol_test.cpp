// Upstreams that are told of the client by the PROXY protocol: which addresses they are told, from
// a sidecar and from a gateway, and that clients never share a connection.
#include "tests/unit/proxy/gateway_fixture.h"

namespace sallyport::proxy {
namespace {

// app.test wants version 1.
std::string told_rule() {
  return "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: told}\n"
         "spec: {host: app.test, trafficPolicy: {proxyProtocol: {version: V1}}}\n";
}
std::string header_naming(const SocketAddress& source, const SocketAddress& destination) {
  return "PROXY TCP4 " + source.ip().text() + " " + destination.ip().text() + " " +
         std::to_string(source.port()) + " " + std::to_string(destination.port()) + "\r\n";
}

TEST_F(ProxyTest, ASidecarTellsTheUpstreamWhoDialledWhat) {
  use(one_service(told_rule()));
  auto client = dial();
  client.send(get);
  auto app = upstream_.accept();
  EXPECT_EQ(app.read_until("\n"), header_naming(client.local(), door_.local()));
  EXPECT_TRUE(app.read_head().starts_with("GET /politics HTTP/1.1\r\n"));
  app.send(hello);
  client.read_until("hello");
  client.send(get);
  EXPECT_TRUE(app.read_head().starts_with("GET /politics HTTP/1.1\r\n"))
      << "its next request goes the same way, without a header";
}

TEST_F(ProxyTest, AnotherClientHasAnotherUpstreamConnectionWhereTheFirstOneIsNamedOnIt) {
  use(one_service(told_rule()));
  auto first = dial();
  first.send(get);
  auto app = accept_request();
  app.send(hello);
  first.read_until("hello");
  auto second = dial();
  second.send(get);
  auto other = upstream_.accept();
  EXPECT_EQ(other.read_until("\n"), header_naming(second.local(), door_.local()));
  EXPECT_TRUE(other.read_head().starts_with("GET /politics HTTP/1.1\r\n"));
}

TEST_F(ProxyTest, OpaqueBytesFollowTheHeaderThatNamesTheClient) {
  use(one_service(told_rule()));
  auto client = dial_as([](Client app, Worker& worker) {
    TcpPlan plan;
    for (const auto& [name, cluster] : worker.snapshot()->clusters)
      if (name.ends_with("||app.test")) plan.cluster = cluster;
    return serve_tcp(std::move(app), worker, std::move(plan));
  });
  client.send("bytes\n");
  auto app = upstream_.accept();
  EXPECT_EQ(app.read_until("\n"), header_naming(client.local(), door_.local()));
  EXPECT_EQ(app.read_until("\n"), "bytes\n");
}

TEST_F(GatewayTest, TellsTheUpstreamTheConnectionsAddressesWhateverRequestsClaim) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()) + told_rule().substr(4) + "---\n");
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a.com\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n");
  auto app = upstream_.accept();
  EXPECT_EQ(app.read_until("\n"), header_naming(client.local(), door_.local()));
}

TEST_F(GatewayTest, PassesOnWhatTheLoadBalancerInFrontSaysOfTheClient) {
  istio::MeshConfig mesh;
  mesh.default_config.gateway_topology.proxy_protocol = true;
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()) + told_rule().substr(4) + "---\n",
        mesh);
  const std::string request = "GET / HTTP/1.1\r\nHost: a.com\r\n\r\n";
  auto client = connect();
  client.send("PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n" + request);
  auto app = upstream_.accept();
  EXPECT_EQ(app.read_until("\n"), "PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n");
  auto health = connect();
  health.send("PROXY UNKNOWN\r\n" + request);
  auto own = upstream_.accept();
  EXPECT_EQ(own.read_until("\n"), header_naming(health.local(), door_.local()))
      << "it names nobody: then the connection's own count";
}

}  // namespace
}  // namespace sallyport::proxy
