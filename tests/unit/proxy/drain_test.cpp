// Draining: which clients are asked to leave.
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {
namespace {

class Drain : public ProxyTest {
protected:
  test::TestSocket dial_inbound() {
    return dial_as([](Client client, Worker& worker) {
      client.inbound = true;
      return serve_http(std::move(client), worker);
    });
  }
  // The answer's head to a request on this connection, which goes to a new or a kept upstream.
  std::string answer_on(const test::TestSocket& client) {
    client.send(get);
    if (!server_) {
      server_ = accept_request();
    } else {
      server_.read_head();
    }
    server_.send(hello);
    const std::string head = client.read_head();
    client.read_exactly(5);
    return head;
  }
  test::TestSocket server_;
};

TEST_F(Drain, OfInboundLeavesOutboundAlone) {
  const auto outbound = dial(), inbound = dial_inbound();
  EXPECT_FALSE(has(answer_on(outbound), "connection: close"));
  EXPECT_FALSE(has(answer_on(inbound), "connection: close"));
  drain({.inbound_only = true});
  EXPECT_FALSE(has(answer_on(outbound), "connection: close"));
  EXPECT_TRUE(has(answer_on(inbound), "connection: close"));
  EXPECT_EQ(inbound.read_all(), "") << "and it is closed";
  EXPECT_FALSE(has(answer_on(outbound), "connection: close")) << "on a pooled upstream";
}

TEST_F(Drain, OfAllAsksBothToLeave) {
  const auto outbound = dial();
  EXPECT_FALSE(has(answer_on(outbound), "connection: close"));
  drain({});
  server_ = test::TestSocket();  // idle upstreams are closed
  EXPECT_TRUE(has(answer_on(outbound), "connection: close"));
  EXPECT_EQ(outbound.read_all(), "");
}

}  // namespace
}  // namespace sallyport::proxy
