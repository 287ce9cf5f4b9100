// Clusters with a LoadPolicy: outlier detection, panic, locality, consistent hashing, warm-up. The
// clock and the random numbers are the test's.
#include "agent/upstream/policy_balancer.h"

#include <gtest/gtest.h>

#include <map>

#include "agent/core/limits.h"
#include "agent/core/xxhash.h"

namespace sallyport::upstream {
namespace {

using namespace std::chrono_literals;

SocketAddress at(int last) { return {IpAddress::v4(0x0a000000u + uint32_t(last)), 80}; }

class PolicyBalancing : public testing::Test {
protected:
  // One endpoint for each group index, 'a' first.
  void use(mesh::LoadPolicy policy, std::vector<uint16_t> groups,
           mesh::Balancing balancing = mesh::Balancing::round_robin) {
    cluster.load = std::move(policy);
    cluster.balancing = balancing;
    for (const auto group : groups) add(1, group);
    if (cluster.load->outlier) detector.emplace(*cluster.load->outlier, metrics);
    balancer.emplace(cluster, detector ? &*detector : nullptr, random);
    follow();
  }
  void add(uint32_t weight = 1, uint16_t group = 0) {
    const auto address = at(int(endpoints.size()));
    endpoints.push_back(std::make_shared<Endpoint>(address, weight, group));
    ++generation;
  }
  void follow() { balancer->follow(endpoints, generation, now); }
  void pass(std::chrono::milliseconds time) {
    now += time;
    follow();
  }
  void answer(int endpoint, std::vector<int> statuses) {
    for (const int status : statuses) {
      if (status == 0) {
        detector->failed(*endpoints[std::size_t(endpoint)], now);
      } else {
        detector->answered(*endpoints[std::size_t(endpoint)], status, now);
      }
    }
    follow();
  }
  bool ejected(int endpoint) const { return endpoints[std::size_t(endpoint)]->health->ejected; }
  std::map<char, int> picks(int count, std::optional<uint64_t> hash = {}) {
    std::map<char, int> out;
    for (int i = 0; i < count; ++i) {
      const auto chosen = balancer->pick(hash, nullptr, now);
      ++out[chosen ? char('a' + chosen->address.ip().bytes()[3]) : '-'];
    }
    return out;
  }
  std::string who(int count, std::optional<uint64_t> hash = {}) {
    std::string out;
    for (const auto& [name, times] : picks(count, hash)) out += name;
    return out;
  }

  mesh::Cluster cluster;
  observe::WorkerMetrics metrics;
  Random random{7};
  Endpoints endpoints;
  uint64_t generation = 0;
  Clock::time_point now{1h};
  std::optional<OutlierDetector> detector;
  std::optional<PolicyBalancer> balancer;
};

mesh::LoadPolicy outlier(mesh::OutlierPolicy policy, uint32_t min_health = 0) {
  mesh::LoadPolicy out;
  out.outlier = policy;
  out.min_health_percent = min_health;
  return out;
}

using OutlierDetection = PolicyBalancing;

TEST_F(OutlierDetection, FiveErrorsInARowEjectAnEndpoint) {
  use(outlier({}), {0, 0, 0});
  answer(0, {500, 501, 502, 503});
  EXPECT_FALSE(ejected(0));
  answer(0, {504});
  EXPECT_TRUE(ejected(0));
  EXPECT_EQ(who(100), "bc");
  EXPECT_EQ(metrics.outlier_ejections.get(), 1u);
}

TEST_F(OutlierDetection, AGoodAnswerStartsTheCountAnew) {
  use(outlier({}), {0, 0});
  answer(0, {500, 500, 500, 500, 404, 500, 500, 500, 500});
  EXPECT_FALSE(ejected(0));
}

TEST_F(OutlierDetection, GatewayErrorsCountApartWhereAsked) {
  use(outlier({.consecutive_5xx = 0, .consecutive_gateway = 2}), {0, 0});
  answer(0, {500, 500, 500, 502, 500, 503});
  EXPECT_FALSE(ejected(0));
  answer(0, {504});
  EXPECT_TRUE(ejected(0));
}

TEST_F(OutlierDetection, ZeroSwitchesACounterOff) {
  use(outlier({.consecutive_5xx = 0}), {0, 0});
  answer(0, std::vector<int>(20, 503));
  EXPECT_FALSE(ejected(0));
}

TEST_F(OutlierDetection, AFailureToConnectCountsAs503) {
  use(outlier({.consecutive_5xx = 3, .consecutive_gateway = 2}), {0, 0});
  answer(0, {0, 0});
  EXPECT_TRUE(ejected(0));
}

TEST_F(OutlierDetection, SplitFailuresToConnectHaveTheirOwnCounter) {
  use(outlier({.consecutive_5xx = 2, .consecutive_local_origin = 3, .split_local_origin = true}),
      {0, 0});
  answer(0, {500, 0, 0});
  EXPECT_FALSE(ejected(0));
  answer(0, {0});
  EXPECT_TRUE(ejected(0));
}

TEST_F(OutlierDetection, AnOpaqueConnectionThatOpensIsAGoodAnswer) {
  use(outlier({.consecutive_5xx = 2}), {0, 0});
  answer(0, {0});
  detector->connected(*endpoints[0]);
  answer(0, {0});
  EXPECT_FALSE(ejected(0));
}

TEST_F(OutlierDetection, ItLastsLongerEachTimeAndIsForgivenByBehaving) {
  use(outlier({.consecutive_5xx = 1, .interval = 1s, .base_ejection_time = 30s}), {0, 0});
  answer(0, {500});
  pass(29s);
  EXPECT_TRUE(ejected(0));
  pass(1s);
  EXPECT_FALSE(ejected(0));
  EXPECT_EQ(who(10), "ab");
  answer(0, {500});  // the second time: 60 s
  pass(59s);
  EXPECT_TRUE(ejected(0));
  pass(1s);
  EXPECT_FALSE(ejected(0));
  pass(1s);
  pass(1s);  // two intervals without an ejection: as if there had been none
  answer(0, {500});
  pass(30s);
  EXPECT_FALSE(ejected(0));
}

TEST_F(OutlierDetection, ItLastsFiveMinutesAtMost) {
  use(outlier({.consecutive_5xx = 1, .interval = 1ms, .base_ejection_time = 200s}), {0, 0});
  for (int i = 0; i < 4; ++i) {
    answer(0, {500});
    ASSERT_TRUE(ejected(0));
    now += 300s;
    follow();
    ASSERT_FALSE(ejected(0)) << i;
    endpoints[0]->health->ejections += 1;  // what following without a pause forgave
  }
}

TEST_F(OutlierDetection, OnlySoManyPercentAreEjectedButOneAlways) {
  use(outlier({.consecutive_5xx = 1, .max_ejection_percent = 50}), {0, 0, 0, 0, 0});
  for (int i = 0; i < 5; ++i) answer(i, {500});
  EXPECT_TRUE(ejected(0) && ejected(1));
  EXPECT_EQ(who(100), "cde");
}

TEST_F(OutlierDetection, OfOneEndpointThatOneIsEjectedAndNobodyIsLeft) {
  use(outlier({.consecutive_5xx = 1}), {0});
  answer(0, {500});
  EXPECT_EQ(who(3), "-");
}

TEST_F(OutlierDetection, TooFewHealthyOnesArePanicAndAllAreUsed) {
  use(outlier({.consecutive_5xx = 1, .max_ejection_percent = 100}, 50), {0, 0, 0, 0});
  answer(0, {500});
  answer(1, {500});
  EXPECT_EQ(who(100), "cd");  // 50 %: just enough
  answer(2, {500});
  EXPECT_EQ(who(100), "abcd");
  answer(3, {500});
  EXPECT_EQ(who(100), "abcd");
}

TEST_F(OutlierDetection, AnEndpointThatComesLaterIsWatchedToo) {
  use(outlier({.consecutive_5xx = 1}), {0, 0});
  add();
  follow();
  answer(2, {500});
  EXPECT_EQ(who(100), "ab");
}

TEST_F(OutlierDetection, AnEndpointThatHasLeftIsNeitherEjectedNorCounted) {
  use(outlier({.consecutive_5xx = 1, .max_ejection_percent = 34}), {0, 0, 0});
  const auto gone = endpoints.back();
  endpoints.pop_back();
  ++generation;
  follow();
  detector->failed(*gone, now);
  EXPECT_FALSE(gone->health->ejected);
  EXPECT_EQ(metrics.outlier_ejections.get(), 0u);
  answer(0, {500});
  EXPECT_TRUE(ejected(0)) << "the one that may always be";
}

TEST_F(OutlierDetection, TriedOnesAreAvoidedWhileOthersAreHealthy) {
  use(outlier({.consecutive_5xx = 1}), {0, 0, 0});
  answer(0, {500});
  const std::vector<SocketAddress> tried = {at(1)};
  for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer->pick({}, &tried, now)->address, at(2));
  const std::vector<SocketAddress> both = {at(1), at(2)};
  EXPECT_NE(balancer->pick({}, &both, now)->address, at(0));
}

using Localities = PolicyBalancing;

mesh::LoadPolicy localities(std::vector<mesh::LocalityGroup> groups) {
  auto out = outlier({.consecutive_5xx = 1, .max_ejection_percent = 100});
  out.groups = std::move(groups);
  return out;
}

TEST_F(Localities, TheFirstPriorityGetsAllWhileItIsHealthy) {
  use(localities({{"near", 0, 0}, {"far", 1, 0}}), {0, 0, 0, 0, 1});
  EXPECT_EQ(who(200), "abcd");
  answer(0, {500});  // 3 of 4, times 1.4: still all
  EXPECT_EQ(who(200), "bcd");
}

TEST_F(Localities, RequestsSpillOverByTheShareOfHealthyOnes) {
  use(localities({{"near", 0, 0}, {"far", 1, 0}}), {0, 0, 0, 0, 1});
  answer(0, {500});
  answer(1, {500});
  auto got = picks(10'000);  // 2 of 4, times 1.4: 70 %
  EXPECT_NEAR(got['e'], 3000, 200);
  answer(2, {500});
  got = picks(10'000);  // 1 of 4: 35 %
  EXPECT_NEAR(got['e'], 6500, 200);
  answer(3, {500});
  EXPECT_EQ(who(100), "e");
  answer(4, {500});
  EXPECT_EQ(who(100), "-");
}

TEST_F(Localities, AnEmptyPriorityIsPassedOver) {
  use(localities({{"near", 0, 0}, {"far", 1, 0}}), {1, 1});
  EXPECT_EQ(who(100), "ab");
}

TEST_F(Localities, DistributeByTheirWeights) {
  use(localities({{"here", 0, 80}, {"there", 0, 20}}), {0, 1, 1});
  auto got = picks(10'000);
  EXPECT_NEAR(got['a'], 8000, 200);
  EXPECT_NEAR(got['b'], 1000, 150);
  answer(0, {500});
  EXPECT_EQ(who(100), "bc");
}

TEST_F(Localities, WithoutWeightsTheirEndpointsCount) {
  use(localities({{"here", 0, 0}, {"there", 0, 0}}), {0, 1, 1});
  EXPECT_NEAR(picks(9000)['a'], 3000, 200);
}

TEST_F(Localities, ATriedOneIsFollowedByAnotherOfTheSamePriorityFirst) {
  use(localities({{"near", 0, 0}, {"far", 1, 0}}), {0, 0, 1});
  const std::vector<SocketAddress> tried = {at(0)};
  for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer->pick({}, &tried, now)->address, at(1));
}

using ConsistentHashing = PolicyBalancing;

mesh::LoadPolicy hashing(mesh::HashPolicy::Table table) {
  mesh::LoadPolicy out;
  out.hash = mesh::HashPolicy{.table = table, .table_size = 1031};
  return out;
}

TEST_F(ConsistentHashing, AKeyAlwaysGoesToTheSameEndpoint) {
  for (const auto table : {mesh::HashPolicy::Table::ring, mesh::HashPolicy::Table::maglev}) {
    endpoints.clear();
    use(hashing(table), {0, 0, 0, 0});
    EXPECT_EQ(who(50, xxhash64("joe")).size(), 1u);
    EXPECT_EQ(who(200).size(), 4u);  // without a key: any
  }
}

TEST_F(ConsistentHashing, EveryWorkerAgrees) {
  use(hashing(mesh::HashPolicy::Table::ring), {0, 0, 0});
  Random other(99);
  PolicyBalancer second(cluster, nullptr, other);
  second.follow(endpoints, 1, now);
  for (int i = 0; i < 100; ++i) {
    const auto key = xxhash64(std::to_string(i));
    EXPECT_EQ(balancer->pick(key, nullptr, now), second.pick(key, nullptr, now));
  }
}

TEST_F(ConsistentHashing, EveryWorkerAgreesInWhateverOrderDnsGaveThem) {
  for (const auto table : {mesh::HashPolicy::Table::ring, mesh::HashPolicy::Table::maglev}) {
    endpoints.clear();
    use(hashing(table), {0, 0, 0});
    Endpoints turned;
    for (int i : {2, 0, 1}) turned.push_back(std::make_shared<Endpoint>(at(i), 1));
    Random other(99);
    PolicyBalancer second(cluster, nullptr, other);
    second.follow(turned, 1, now);
    for (int i = 0; i < 1000; ++i) {
      const auto key = xxhash64(std::to_string(i));
      EXPECT_EQ(balancer->pick(key, nullptr, now)->address,
                second.pick(key, nullptr, now)->address);
    }
  }
}

TEST_F(ConsistentHashing, ANewEndpointHasItsKeysASecondAfterTheLastTableOneThatLeftNoneAtOnce) {
  use(hashing(mesh::HashPolicy::Table::maglev), {0, 0, 0});
  add();
  endpoints.erase(endpoints.begin());  // 'a'
  ++generation;
  follow();
  EXPECT_EQ(who(200), "bc");
  pass(limits::hash_rebuild);
  EXPECT_EQ(who(200), "bcd");
}

TEST_F(ConsistentHashing, WhereAllAreOthersThanBeforeTheyServeAtOnce) {
  use(hashing(mesh::HashPolicy::Table::ring), {0, 0});
  add();
  add();
  endpoints.erase(endpoints.begin(), endpoints.begin() + 2);
  ++generation;
  follow();
  EXPECT_EQ(who(200), "cd");
}

TEST_F(ConsistentHashing, KeysOfOthersStayWhereTheyAreWhenOneIsEjected) {
  for (const auto table : {mesh::HashPolicy::Table::ring, mesh::HashPolicy::Table::maglev}) {
    endpoints.clear();
    auto policy = hashing(table);
    policy.outlier = mesh::OutlierPolicy{.consecutive_5xx = 1};
    use(policy, {0, 0, 0, 0});
    std::vector<std::shared_ptr<Endpoint>> homes;
    for (int i = 0; i < 100; ++i) {
      homes.push_back(balancer->pick(xxhash64(std::to_string(i)), nullptr, now));
    }
    answer(1, {500});
    for (int i = 0; i < 100; ++i) {
      const auto home = balancer->pick(xxhash64(std::to_string(i)), nullptr, now);
      EXPECT_NE(home, endpoints[1]);
      if (homes[std::size_t(i)] == endpoints[1]) continue;
      EXPECT_EQ(home, homes[std::size_t(i)]);
    }
  }
}

TEST_F(ConsistentHashing, ATriedOneIsTriedAgain) {
  use(hashing(mesh::HashPolicy::Table::ring), {0, 0, 0});
  const auto first = balancer->pick(5, nullptr, now);
  const std::vector<SocketAddress> tried = {first->address};
  EXPECT_EQ(balancer->pick(5, &tried, now), first);
  EXPECT_FALSE(balancer->interchangeable(*first));
}

// Its share is less than a hundredth: rounded to nothing, the ring would have no least weight.
TEST_F(ConsistentHashing, OneHealthyHostOfVeryManyInItsLocalityIsStillOnTheRing) {
  mesh::LoadPolicy policy;
  policy.hash.emplace();
  policy.hash->key = mesh::HashPolicy::Key::source_ip;
  policy.outlier.emplace();
  policy.outlier->max_ejection_percent = 100;
  policy.groups = {{"far", 0, 0}, {"near", 0, 0}};
  std::vector<uint16_t> groups(150, 0);
  groups.push_back(1);
  use(policy, groups);
  for (int i = 1; i < 150; i++) answer(i, {500, 500, 500, 500, 500});
  EXPECT_EQ(balancer->pick(7, nullptr, now) != nullptr, true);
}

TEST_F(ConsistentHashing, KeysOfAnEjectedEndpointMoveAndComeBack) {
  auto policy = hashing(mesh::HashPolicy::Table::ring);
  policy.outlier = mesh::OutlierPolicy{.consecutive_5xx = 1, .interval = 1s};
  use(policy, {0, 0, 0});
  const auto key = xxhash64("joe");
  const auto home = balancer->pick(key, nullptr, now);
  const int index = home->address.ip().bytes()[3];
  answer(index, {500});
  EXPECT_NE(balancer->pick(key, nullptr, now), home);
  pass(30s);
  EXPECT_EQ(balancer->pick(key, nullptr, now), home);
}

using Warmup = PolicyBalancing;

mesh::LoadPolicy warming(double aggression = 1) {
  mesh::LoadPolicy out;
  out.warmup = mesh::WarmupPolicy{100s, 0.1, aggression};
  return out;
}

TEST_F(Warmup, ANewEndpointGetsItsShareLittleByLittle) {
  for (const auto balancing : {mesh::Balancing::round_robin, mesh::Balancing::least_request}) {
    endpoints.clear();
    use(warming(), {0}, balancing);
    pass(100s);
    add();
    follow();
    pass(1s);
    EXPECT_NEAR(picks(10'000)['b'], 10'000 * 0.1 / 1.1, 250);  // the minimum
    pass(49s);
    EXPECT_NEAR(picks(10'000)['b'], 10'000 * 0.5 / 1.5, 350);
    pass(50s);
    EXPECT_NEAR(picks(10'000)['b'], 5000, 300);
  }
}

TEST_F(Warmup, MoreAggressionIsFasterAtFirst) {
  use(warming(2), {0});
  pass(100s);
  add();
  follow();
  pass(25s);
  EXPECT_NEAR(picks(10'000)['b'], 10'000 * 0.5 / 1.5, 350);  // the root of a quarter
}

TEST_F(Warmup, EndpointsThatAreAllNewShareEqually) {
  use(warming(), {0, 0});
  pass(1s);
  EXPECT_NEAR(picks(10'000)['a'], 5000, 300);
}

}  // namespace
}  // namespace sallyport::upstream
