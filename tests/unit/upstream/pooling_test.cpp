// Which connection a request gets: a pooled one, or a new one, and to whom.
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

using Pooling = UpstreamsTest;
using Opening = UpstreamsTest;

// A port of this machine where nobody listens.
SocketAddress closed_port() { return TlsServer({}).address(); }

TEST_F(Pooling, AConnectionGivenBackServesTheNextRequest) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  EXPECT_FALSE(upstreams->take_idle(*to, {}));
  auto first = acquired(to);
  EXPECT_FALSE(first.reused);
  EXPECT_EQ(first.host, server.address());
  EXPECT_TRUE(first.local.is_set());
  EXPECT_EQ(echoed(first), "hello");
  upstreams->give_back(std::move(first));
  auto second = upstreams->take_idle(*to, {});
  ASSERT_TRUE(second);
  EXPECT_TRUE(second.reused);
  EXPECT_EQ(second.requests, 1u);
  EXPECT_EQ(echoed(second), "hello");
  EXPECT_EQ(server.accepted(), 1);
  EXPECT_EQ(metrics.upstream_cx_total.get(), 1u);
  EXPECT_EQ(metrics.upstream_cx_reused.get(), 1u);
}

TEST_F(Pooling, TheLastGivenBackIsTakenFirst) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  auto a = acquired(to), b = acquired(to);
  const auto last = b.local;
  upstreams->give_back(std::move(a));
  upstreams->give_back(std::move(b));
  EXPECT_EQ(upstreams->take_idle(*to, {}).local, last);
}

TEST_F(Pooling, AFreshOneIsNeverAPooledOne) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  upstreams->give_back(acquired(to));
  Need fresh;
  fresh.fresh = true;
  EXPECT_FALSE(upstreams->take_idle(*to, fresh));
  EXPECT_FALSE(acquired(to, fresh).reused);
}

TEST_F(Pooling, OpaqueConnectionsAreNotPooledOnes) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  upstreams->give_back(acquired(to));
  Need tcp;
  tcp.http = false;
  EXPECT_FALSE(upstreams->take_idle(*to, tcp));
  EXPECT_FALSE(acquired(to, tcp).reused);
}

TEST_F(Pooling, AnIdleConnectionThatThePeerClosedIsDropped) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  auto kept = acquired(to);
  EXPECT_EQ(echoed(kept), "hello");
  upstreams->give_back(std::move(kept));
  server.close_all();
  wait_until([this] { return idle() == 0; });
  EXPECT_FALSE(upstreams->take_idle(*to, {}));
  EXPECT_EQ(metrics.upstream_cx_active.get(), 0u);
}

TEST_F(Pooling, AnIdleConnectionWithBytesNobodyAskedForIsDropped) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  auto kept = acquired(to);
  EXPECT_EQ(echoed(kept), "hello");
  upstreams->give_back(std::move(kept));
  server.say_unasked("HTTP/1.1 408 Request Timeout\r\n\r\n");
  wait_until([this] { return idle() == 0; });
  EXPECT_FALSE(upstreams->take_idle(*to, {}));
}

TEST_F(Pooling, AnIdleConnectionIsClosedAfterTheClustersIdleTime) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->http_idle = 1ms;
  upstreams->give_back(acquired(to));
  wait_until([this] { return idle() == 0; });
  EXPECT_EQ(metrics.upstream_cx_active.get(), 0u);
}

TEST_F(Pooling, AConnectionThatHasServedItsNumberOfRequestsIsClosed) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->max_requests_per_connection = 2;
  upstreams->give_back(acquired(to));
  auto again = upstreams->take_idle(*to, {});
  ASSERT_TRUE(again);
  upstreams->give_back(std::move(again));
  EXPECT_FALSE(upstreams->take_idle(*to, {}));
}

TEST_F(Pooling, BeyondTheLimitTheOldestIsClosed) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  Need fresh;
  fresh.fresh = true;
  std::vector<Connection> all;
  for (std::size_t i = 0; i <= limits::pool_idle_per_key; ++i) all.push_back(acquired(to, fresh));
  for (auto& connection : all) upstreams->give_back(std::move(connection));
  EXPECT_EQ(idle(), limits::pool_idle_per_key);
}

TEST_F(Pooling, DrainingClosesWhatIsIdleAndKeepsNothingMore) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  auto busy = acquired(to);
  upstreams->give_back(acquired(to));
  upstreams->drain();
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(echoed(busy), "hello");
  upstreams->give_back(std::move(busy));
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(metrics.upstream_cx_active.get(), 0u);
}

TEST_F(Pooling, AClusterThatNobodyKnowsAnyMoreLosesItsConnections) {
  TlsServer server({});
  auto to = cluster({server.address()});
  upstreams->give_back(acquired(to));
  EXPECT_EQ(upstreams->describe().size(), 1u);
  to.reset();
  wait_until([this] { return upstreams->describe().empty(); });
  EXPECT_EQ(metrics.upstream_cx_active.get(), 0u);
}

TEST_F(Pooling, AConnectionOutlivesWhoMadeIt) {
  TlsServer server({});
  auto connection = acquired(cluster({server.address()}));
  upstreams.reset();
  EXPECT_EQ(echoed(connection), "hello");
}

TEST_F(Pooling, RoundRobinAlternatesAlsoBetweenPoolAndNewOnes) {
  TlsServer a({}), b({});
  const auto to = cluster({a.address(), b.address()});
  to->balancing = mesh::Balancing::round_robin;
  std::vector<SocketAddress> hosts;
  for (int i = 0; i < 6; ++i) {
    auto connection = upstreams->take_idle(*to, {});
    if (!connection) connection = acquired(to);
    hosts.push_back(connection.host);
    upstreams->give_back(std::move(connection));
  }
  for (std::size_t i = 2; i < hosts.size(); ++i) EXPECT_EQ(hosts[i], hosts[i - 2]) << i;
  EXPECT_NE(hosts[0], hosts[1]);
  wait_until([&] { return a.accepted() == 1 && b.accepted() == 1; });
}

TEST_F(Opening, ARefusedConnectionNamesTheAddressAndMayBeRetriedElsewhere) {
  TlsServer server({});
  const auto dead = closed_port();
  const auto to = cluster({dead, server.address()});
  std::vector<SocketAddress> tried;
  Need need;
  need.avoid = &tried;
  int failures = 0;
  for (int i = 0; i < 50 && tried.empty(); ++i) {
    const auto got = acquire(to, need);
    if (got) continue;
    ++failures;
    EXPECT_EQ(got.error().error.fault, Fault::refused);
    EXPECT_EQ(got.error().error.side, Side::upstream);
    EXPECT_TRUE(got.error().error.retryable);
    EXPECT_EQ(got.error().host, dead);
    EXPECT_NE(got.error().error.context.find(dead.text()), std::string::npos);
  }
  ASSERT_EQ(tried, std::vector<SocketAddress>{dead});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(acquired(to, need).host, server.address());
  EXPECT_EQ(failures, 1);
  EXPECT_EQ(metrics.upstream_cx_connect_fail.get(), 1u);
}

TEST_F(Opening, AClusterThatIsRefusedFailsWithItsOwnReason) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->refused = Error{Fault::missing_secret, Side::local, false, "rules.yaml:3: bad mode", "DR x"};
  const auto got = acquire(to);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.context, "rules.yaml:3: bad mode");
  EXPECT_EQ(server.accepted(), 0);
}

TEST_F(Opening, AClusterWithoutEndpointsSaysSo) {
  const auto got = acquire(cluster({}));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::no_endpoint);
  EXPECT_FALSE(got.error().host.is_set());
}

TEST_F(Opening, TheOriginalDestinationIsDialledWithTheRulesPort) {
  TlsServer server({});
  auto to = cluster({});
  to->discovery = mesh::Discovery::original_dst;
  Need need;
  need.original_destination = server.address();
  EXPECT_EQ(acquired(to, need).host, server.address());

  to = cluster({});
  to->discovery = mesh::Discovery::original_dst;
  to->original_dst_port = server.address().port();
  need.original_destination = {server.address().ip(), 80};
  upstreams->give_back(acquired(to, need));
  EXPECT_EQ(upstreams->take_idle(*to, need).host, server.address());
  const auto got = acquire(to, {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::no_endpoint);
}

TEST_F(Opening, ATaskMayBeDestroyedAtAnyPoint) {
  TlsServer server({.silent = true});
  const auto to = secure({server.address()});
  to->tls.skip_verify = true;
  {
    auto task = upstreams->acquire(to, {});
    task.start({});
    wait_until([&server] { return server.accepted() == 1; });
  }
  EXPECT_EQ(upstreams->describe()[0].endpoints[0].active, 0u);
  EXPECT_EQ(metrics.upstream_cx_active.get(), 0u);
}

TEST_F(Opening, BeyondMaxConnectionsARequestWaitsForOneToBeGivenBack) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->max_connections = 1;
  auto busy = acquired(to);
  const auto first = busy.local;
  auto waiting = upstreams->acquire(to, {});
  waiting.start({});
  EXPECT_FALSE(waiting.done());
  upstreams->give_back(std::move(busy));
  wait_until([&waiting] { return waiting.done(); });
  auto got = waiting.take();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->local, first);
  wait_until([&server] { return server.accepted() > 0; });  // counted by the server's thread
  EXPECT_EQ(server.accepted(), 1);
}

TEST_F(Opening, AConnectionThatIsClosedMakesRoomToo) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->max_connections = 1;
  auto busy = acquired(to);
  auto waiting = upstreams->acquire(to, {});
  waiting.start({});
  busy = {};
  wait_until([&waiting] { return waiting.done(); });
  EXPECT_TRUE(waiting.take());
}

TEST_F(Opening, BeyondMaxPendingRequestsItOverflows) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->max_connections = to->max_pending_requests = 1;
  auto busy = acquired(to);
  auto waiting = upstreams->acquire(to, {});
  waiting.start({});
  const auto got = acquire(to);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::overflow);
  EXPECT_NE(got.error().error.context.find("outbound|80||a.test"), std::string::npos);
  waiting = {};  // whoever gives up makes room
  auto next = upstreams->acquire(to, {});
  next.start({});
  EXPECT_FALSE(next.done());
}

TEST_F(Opening, OpaqueConnectionsOverflowAtOnce) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->max_connections = 1;
  Need tcp;
  tcp.http = false;
  auto busy = acquired(to, tcp);
  const auto got = acquire(to, tcp);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.fault, Fault::overflow);
}

TEST_F(Opening, WhatIsOutIsCountedAtItsEndpoint) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  auto connection = acquired(to);
  auto info = upstreams->describe();
  ASSERT_EQ(info.size(), 1u);
  EXPECT_EQ(info[0].name, "outbound|80||a.test");
  ASSERT_EQ(info[0].endpoints.size(), 1u);
  EXPECT_EQ(info[0].endpoints[0].active, 1u);
  EXPECT_EQ(info[0].endpoints[0].idle, 0u);
  upstreams->give_back(std::move(connection));
  info = upstreams->describe();
  EXPECT_EQ(info[0].endpoints[0].active, 0u);
  EXPECT_EQ(info[0].endpoints[0].idle, 1u);
}

}  // namespace
}  // namespace sallyport::upstream
