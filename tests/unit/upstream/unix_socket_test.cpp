// Endpoints that are unix sockets: the same way as every other endpoint's.
#include <cstdlib>
#include <filesystem>

#include "agent/observe/access_record.h"
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

class UnixEndpoints : public UpstreamsTest {
protected:
  UnixEndpoints() {
    std::string name = testing::TempDir() + "unix-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~UnixEndpoints() override { std::filesystem::remove_all(directory_); }

  SocketAddress at(const std::string& name) const {
    return *SocketAddress::unix_socket(directory_ + "/" + name);
  }

private:
  std::string directory_;
};

TEST_F(UnixEndpoints, AreReachedAndTheirConnectionsPooled) {
  TlsServer server({}, at("x.sock"));
  const auto to = cluster({at("x.sock")});
  auto first = acquired(to);
  EXPECT_EQ(first.host, at("x.sock"));
  EXPECT_EQ(echoed(first), "hello");
  upstreams->give_back(std::move(first));
  auto second = upstreams->take_idle(*to, {});
  ASSERT_TRUE(second);
  EXPECT_TRUE(second.reused);
  EXPECT_EQ(echoed(second), "hello");
  EXPECT_EQ(server.accepted(), 1);
  upstreams->give_back(std::move(second));
  server.close_all();
  wait_until([this] { return idle() == 0; });
}

TEST_F(UnixEndpoints, CarryOpaqueBytes) {
  TlsServer server({}, at("x.sock"));
  Need tcp;
  tcp.http = false;
  auto connection = acquired(cluster({at("x.sock")}), tcp);
  EXPECT_EQ(echoed(connection), "hello");
}

TEST_F(UnixEndpoints, AreSpokenToInTlsWhereARuleSaysSo) {
  const auto ca = test::Authority::root("CA");
  auto next = std::make_shared<certs::Vault>();
  next->entries["ca"].roots = *certs::TrustStore::parse(ca.pem());
  vault.publish(std::move(next));
  TlsServer good({.certificate = ca.issue({.dns = {"a.test"}})}, at("good.sock"));
  auto connection = acquired(secure({at("good.sock")}));
  ASSERT_TRUE(connection.stream.is_tls());
  EXPECT_EQ(echoed(connection), "hello");

  TlsServer other({.certificate = ca.issue({.dns = {"evil.test"}})}, at("other.sock"));
  const auto refused = acquire(secure({at("other.sock")}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.fault, Fault::tls_verify);
  EXPECT_NE(refused.error().error.context.find("TLS to " + at("other.sock").text()),
            std::string::npos)
      << refused.error().error.context;
}

TEST_F(UnixEndpoints, ThatCannotBeReachedAreAConnectFailureToRetryElsewhere) {
  TlsServer server({}, at("x.sock"));
  auto to = cluster({at("none.sock")});
  std::vector<SocketAddress> tried;
  Need need;
  need.avoid = &tried;
  const auto got = acquire(to, need);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().host, at("none.sock"));
  EXPECT_TRUE(got.error().error.retryable);
  EXPECT_EQ(observe::flag_of(got.error().error), observe::UF);
  EXPECT_EQ(tried, std::vector{at("none.sock")});
  EXPECT_EQ(metrics.upstream_cx_connect_fail.get(), 1u);

  TlsServer network({});
  for (const auto& other : {at("x.sock"), network.address()}) {
    auto connection = acquired(cluster({at("none.sock"), other}), need);
    EXPECT_EQ(connection.host, other);
    EXPECT_EQ(echoed(connection), "hello");
  }
}

TEST_F(UnixEndpoints, TakeTurnsWithOthers) {
  TlsServer local({}, at("x.sock")), network({});
  const auto to = cluster({at("x.sock"), network.address()});
  to->balancing = mesh::Balancing::round_robin;
  std::vector<Connection> open;
  for (int i = 0; i < 4; i++) open.push_back(acquired(to));
  EXPECT_EQ(std::count_if(open.begin(), open.end(),
                          [&](const auto& one) { return one.host == at("x.sock"); }),
            2);
}

TEST_F(UnixEndpoints, AreEjectedLikeOthers) {
  TlsServer server({}, at("x.sock"));
  const auto to = cluster({at("none.sock"), at("x.sock")});
  to->load.emplace().outlier = mesh::OutlierPolicy{.consecutive_5xx = 1};
  to->balancing = mesh::Balancing::round_robin;
  std::size_t failed = 0;
  for (int i = 0; i < 8; i++) failed += !acquire(to);
  EXPECT_EQ(failed, 1u);
  EXPECT_EQ(upstreams->describe().at(0).endpoints.at(0).state, "/failed_outlier_check");
}

TEST_F(UnixEndpoints, HaveNoKeepalive) {
  TlsServer server({}, at("x.sock"));
  const auto to = cluster({at("x.sock")});
  to->load.emplace().keepalive = mesh::KeepalivePolicy{3, 60s, 10s};
  auto connection = acquired(to);
  int value = 1;
  socklen_t size = sizeof value;
  ASSERT_EQ(getsockopt(connection.stream.fd(), SOL_SOCKET, SO_KEEPALIVE, &value, &size), 0);
  EXPECT_EQ(value, 0);
  EXPECT_EQ(echoed(connection), "hello");
}

}  // namespace
}  // namespace sallyport::upstream
