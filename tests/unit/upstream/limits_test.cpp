// What a LoadPolicy limits and watches, on real connections.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

using Limits = UpstreamsTest;
using Watching = UpstreamsTest;

SocketAddress closed_port() { return TlsServer({}).address(); }

TEST_F(Limits, NoMoreRequestsAtATimeThanMaxRequests) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->load.emplace().max_requests = 1;
  auto first = acquired(to);
  EXPECT_FALSE(upstreams->take_idle(*to, {}));
  auto second = acquire(to);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().error.fault, Fault::overflow);
  upstreams->give_back(std::move(first));
  EXPECT_TRUE(upstreams->take_idle(*to, {}));
}

TEST_F(Limits, OpaqueConnectionsAreNoRequests) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->load.emplace().max_requests = 1;
  Need tcp;
  tcp.http = false;
  auto first = acquired(to, tcp);
  EXPECT_TRUE(acquire(to, tcp));
  EXPECT_TRUE(acquire(to)) << "and take no request's place";
}

TEST_F(Limits, NoMoreRetriesAtATimeThanMaxRetries) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->max_retries = 1;
  auto connection = acquired(to);
  RetrySlot first, second;
  EXPECT_TRUE(upstreams->begin_retry(*to, first));
  EXPECT_FALSE(upstreams->begin_retry(*to, second));
  EXPECT_EQ(metrics.upstream_rq_retry_overflow.get(), 1u);
  first = {};
  EXPECT_TRUE(upstreams->begin_retry(*to, second));
}

TEST_F(Limits, WithoutMaxRetriesThereIsNoLimit) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  auto connection = acquired(to);
  std::vector<RetrySlot> slots(100);
  for (auto& slot : slots) EXPECT_TRUE(upstreams->begin_retry(*to, slot));
}

TEST_F(Limits, ARetryBudgetIsAShareOfTheRequestsUnderWay) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->max_retries = 100;
  to->load.emplace().retry_budget = mesh::RetryBudgetPolicy{50, 1};
  std::vector<Connection> out;
  out.push_back(acquired(to));
  std::vector<RetrySlot> slots(3);
  EXPECT_TRUE(upstreams->begin_retry(*to, slots[0]));  // the least
  EXPECT_FALSE(upstreams->begin_retry(*to, slots[1]));
  for (int i = 0; i < 3; ++i) out.push_back(acquired(to));
  EXPECT_TRUE(upstreams->begin_retry(*to, slots[1]));  // half of four
  EXPECT_FALSE(upstreams->begin_retry(*to, slots[2]));
}

TEST_F(Limits, KeepaliveIsSetOnTheSocket) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->load.emplace().keepalive = mesh::KeepalivePolicy{3, 60s, 10s};
  const auto connection = acquired(to);
  const auto option = [&](int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    getsockopt(connection.stream.fd(), level, name, &value, &size);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 10);
}

TEST_F(Limits, AConnectionThatIsTooOldIsNotKept) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->load.emplace().max_connection_duration = 1ms;
  auto old = acquired(to);
  const auto opened = loop.now();
  wait_until([&] { return loop.now() - opened > 1ms; });
  upstreams->give_back(std::move(old));
  EXPECT_EQ(idle(), 0u);
}

mesh::LoadPolicy outlier(mesh::OutlierPolicy policy) {
  mesh::LoadPolicy out;
  out.outlier = policy;
  return out;
}

TEST_F(Watching, AnswersEjectAnEndpointAndTheOtherServes) {
  TlsServer bad({}), good({});
  const auto to = cluster({bad.address(), good.address()});
  to->balancing = mesh::Balancing::round_robin;
  to->load = outlier({.consecutive_5xx = 1});
  for (int i = 0; i < 4; ++i) {
    auto connection = acquired(to);
    upstreams->report(connection, connection.host == bad.address() ? 503 : 200);
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(acquired(to).host, good.address());
  const auto info = upstreams->describe();
  ASSERT_EQ(info.size(), 1u);
  EXPECT_EQ(info[0].endpoints[0].state, "/failed_outlier_check");
  EXPECT_EQ(info[0].endpoints[1].state, "healthy");
}

TEST_F(Watching, AFailureToConnectIsSeenHere) {
  TlsServer good({});
  const auto to = cluster({closed_port(), good.address()});
  to->balancing = mesh::Balancing::round_robin;
  to->load = outlier({.consecutive_5xx = 1});
  for (int i = 0; i < 2; ++i) (void)acquire(to);
  EXPECT_EQ(metrics.outlier_ejections.get(), 1u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(acquired(to).host, good.address());
}

TEST_F(Watching, WithAllEjectedThereIsNoHealthyUpstream) {
  const auto to = cluster({closed_port()});
  to->load = outlier({.consecutive_5xx = 1});
  (void)acquire(to);
  const auto second = acquire(to);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().error.fault, Fault::no_endpoint);
  EXPECT_NE(second.error().error.context.find("no healthy upstream"), std::string::npos);
}

TEST_F(Watching, AnIdleConnectionToAnEjectedEndpointIsNotTaken) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->load = outlier({.consecutive_5xx = 1});
  upstreams->give_back(acquired(to));
  auto connection = upstreams->take_idle(*to, {});
  ASSERT_TRUE(connection);
  upstreams->report(connection, 500);
  upstreams->give_back(std::move(connection));
  EXPECT_FALSE(upstreams->take_idle(*to, {}));
}

TEST_F(Watching, AReportAfterTheClusterIsGoneIsHarmless) {
  TlsServer server({});
  auto to = cluster({server.address()});
  to->load = outlier({.consecutive_5xx = 1});
  auto connection = acquired(to);
  to.reset();
  wait_until([this] { return upstreams->describe().empty(); });
  upstreams->report(connection, 500);
}

TEST_F(Watching, ByHashARequestFindsItsConnectionAgain) {
  TlsServer a({}), b({}), c({});
  const auto to = cluster({a.address(), b.address(), c.address()});
  to->load.emplace().hash = mesh::HashPolicy();
  std::map<uint64_t, SocketAddress> homes;
  for (uint64_t key = 0; key < 8; ++key) {
    Need need;
    need.hash = key * 0x2000000000000000u;
    auto connection = acquired(to, need);
    homes[*need.hash] = connection.host;
    upstreams->give_back(std::move(connection));
  }
  for (const auto& [key, host] : homes) {
    Need need;
    need.hash = key;
    auto again = upstreams->take_idle(*to, need);
    EXPECT_EQ(again.host, host);
    upstreams->give_back(std::move(again));
  }
}

}  // namespace
}  // namespace sallyport::upstream
