// The steady state of a pooled connection makes no call to the allocator of ours.
#include "tests/support/count_allocations.h"
#include "tests/unit/upstream/fixture.h"

namespace sallyport::upstream {
namespace {

class Allocations : public UpstreamsTest {
protected:
  void expect_none(const mesh::ClusterPtr& to, const Need& need) {
    upstreams->give_back(acquired(to, need));
    upstreams->give_back(upstreams->take_idle(*to, need));
    const auto before = test::allocations;
    for (int i = 0; i < 100; ++i) {
      auto connection = upstreams->take_idle(*to, need);
      ASSERT_TRUE(connection);
      upstreams->give_back(std::move(connection));
    }
    EXPECT_EQ(test::allocations, before);
  }
};

TEST_F(Allocations, NoneToTakeAndGiveBackAPlainConnection) {
  TlsServer server({});
  expect_none(cluster({server.address()}), {});
}

TEST_F(Allocations, NoneToTakeAndGiveBackATlsConnectionByHost) {
  const auto ca = test::Authority::root("CA");
  TlsServer server({.certificate = ca.issue({.dns = {"a.test"}})});
  auto next = std::make_shared<certs::Vault>();
  next->entries["ca"].roots = *certs::TrustStore::parse(ca.pem());
  vault.publish(std::move(next));
  const auto to = secure({server.address()});
  to->tls.sni.clear();
  to->tls.auto_sni = true;
  Need need;
  need.authority = "a.test";
  expect_none(to, need);
}

TEST_F(Allocations, NoneWhereOutliersAreWatchedAndKeysHashed) {
  TlsServer server({});
  const auto to = cluster({server.address()});
  to->load.emplace().outlier = mesh::OutlierPolicy();
  expect_none(to, {});
  const auto hashed = cluster({server.address()});
  hashed->load.emplace().hash = mesh::HashPolicy();
  Need need;
  need.hash = 7;
  expect_none(hashed, need);
}

TEST_F(Allocations, NoneToFindAnOriginalDestinationsConnection) {
  TlsServer server({});
  const auto to = cluster({});
  to->discovery = mesh::Discovery::original_dst;
  Need need;
  need.original_destination = server.address();
  expect_none(to, need);
}

}  // namespace
}  // namespace sallyport::upstream
