#include "agent/upstream/balancer.h"

#include <gtest/gtest.h>

#include <map>

namespace sallyport::upstream {
namespace {

SocketAddress at(int last) { return {IpAddress::v4(0x0a000000u + uint32_t(last)), 80}; }

Endpoints some(std::vector<uint32_t> weights) {
  Endpoints out;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    out.push_back(std::make_shared<Endpoint>(at(int(i)), weights[i]));
  }
  return out;
}

std::string order(Balancer& balancer, const Endpoints& endpoints, int picks) {
  std::string out;
  for (int i = 0; i < picks; ++i) {
    out += static_cast<char>('a' + balancer.pick(endpoints, nullptr)->address.ip().bytes()[3]);
  }
  return out;
}

std::map<SocketAddress, int> counts(Balancer& balancer, const Endpoints& endpoints, int picks) {
  std::map<SocketAddress, int> out;
  for (int i = 0; i < picks; ++i) ++out[balancer.pick(endpoints, nullptr)->address];
  return out;
}

TEST(Balancer, OfNoneThereIsNothingToPick) {
  Random random(1);
  Balancer balancer(mesh::Balancing::random, random);
  EXPECT_EQ(balancer.pick({}, nullptr), nullptr);
}

TEST(Balancer, RoundRobinTakesTurns) {
  Random random(1);
  Balancer balancer(mesh::Balancing::round_robin, random);
  EXPECT_EQ(order(balancer, some({1, 1, 1}), 7), "abcabca");
}

TEST(Balancer, RoundRobinGivesTurnsByWeight) {
  Random random(1);
  Balancer balancer(mesh::Balancing::round_robin, random);
  EXPECT_EQ(order(balancer, some({1, 3}), 8), "abbbabbb");
}

TEST(Balancer, RoundRobinSurvivesThatEndpointsGo) {
  Random random(1);
  Balancer balancer(mesh::Balancing::round_robin, random);
  order(balancer, some({1, 1, 5}), 3);
  EXPECT_EQ(order(balancer, some({1, 1}), 4), "baba");
}

TEST(Balancer, RandomReachesAll) {
  Random random(7);
  Balancer balancer(mesh::Balancing::random, random);
  EXPECT_EQ(counts(balancer, some({1, 1, 1}), 300).size(), 3u);
}

TEST(Balancer, LeastRequestOfTwoTakesTheOneWithFewerConnectionsOut) {
  Random random(7);
  Balancer balancer(mesh::Balancing::least_request, random);
  const auto endpoints = some({1, 1});
  endpoints[0]->active = 5;
  EXPECT_EQ(order(balancer, endpoints, 20), std::string(20, 'b'));
}

TEST(Balancer, LeastRequestOfManyNeverTakesTheBusiestTwiceAsOftenAsOthers) {
  Random random(7);
  Balancer balancer(mesh::Balancing::least_request, random);
  const auto endpoints = some({1, 1, 1, 1});
  endpoints[2]->active = 9;
  const auto got = counts(balancer, endpoints, 400);
  EXPECT_EQ(got.count(at(2)), 0u);  // it loses against whichever it is drawn with
  EXPECT_EQ(got.size(), 3u);
}

TEST(Balancer, LeastRequestDrawsByWeight) {
  Random random(7);
  Balancer balancer(mesh::Balancing::least_request, random);
  const auto got = counts(balancer, some({1, 99}), 1000);
  EXPECT_GT(got.at(at(1)), 500);
}

TEST(Balancer, AvoidsWhatWasTriedWhileOthersAreLeft) {
  for (const auto policy :
       {mesh::Balancing::least_request, mesh::Balancing::round_robin, mesh::Balancing::random}) {
    Random random(7);
    Balancer balancer(policy, random);
    const auto endpoints = some({1, 1, 1});
    const std::vector<SocketAddress> tried = {at(0), at(2)};
    for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer.pick(endpoints, &tried)->address, at(1));
    const std::vector<SocketAddress> all = {at(0), at(1), at(2)};
    EXPECT_NE(balancer.pick(endpoints, &all), nullptr);
  }
}

}  // namespace
}  // namespace sallyport::upstream
