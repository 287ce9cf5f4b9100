// Draining: which clients are asked to leave.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

class Drain : public ProxyTest {
protected:
  Drain() { app_port = upstream_address().port(); }
  static inline uint16_t app_port = 0;  // where the inbound connection goes
  test::TestSocket dial_inbound() {
    return dial_as([](Client client, Worker& worker) {
      client.inbound = std::make_unique<InboundSide>();
      client.destination = SocketAddress(*IpAddress::parse("127.0.0.1"), app_port);
      return serve_http(std::move(client), worker);
    });
  }
  // The answer's head to a request on this connection, which goes to a new or a kept upstream.
  std::string answer_on(const test::TestSocket& client, test::TestSocket& server) {
    client.send(get);
    if (!server) {
      server = accept_request();
    } else {
      server.read_head();
    }
    server.send(hello);
    const std::string head = client.read_head();
    client.read_exactly(5);
    return head;
  }
};

TEST_F(Drain, OfInboundLeavesOutboundAlone) {
  const auto outbound = dial(), inbound = dial_inbound();
  test::TestSocket outside, app;
  EXPECT_FALSE(has(answer_on(outbound, outside), "connection: close"));
  EXPECT_FALSE(has(answer_on(inbound, app), "connection: close"));
  drain({.inbound_only = true});
  EXPECT_FALSE(has(answer_on(outbound, outside), "connection: close"));
  EXPECT_TRUE(has(answer_on(inbound, app), "connection: close"));
  EXPECT_EQ(inbound.read_all(), "") << "and it is closed";
  EXPECT_FALSE(has(answer_on(outbound, outside), "connection: close")) << "on a pooled upstream";
}

TEST_F(Drain, OfAllAsksBothToLeave) {
  const auto outbound = dial();
  test::TestSocket outside;
  EXPECT_FALSE(has(answer_on(outbound, outside), "connection: close"));
  drain({});
  outside = test::TestSocket();  // idle upstreams are closed
  EXPECT_TRUE(has(answer_on(outbound, outside), "connection: close"));
  EXPECT_EQ(outbound.read_all(), "");
}

}  // namespace
}  // namespace sallyport::proxy
