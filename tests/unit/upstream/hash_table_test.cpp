// Consistent hashing: who gets a key, how evenly, and what changes when an endpoint goes.
#include "agent/upstream/hash_table.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"
#include "agent/core/xxhash.h"

namespace sallyport::upstream {
namespace {

using Table = mesh::HashPolicy::Table;

std::vector<HashTable::Host> hosts(std::vector<double> weights) {
  std::vector<HashTable::Host> out;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    out.push_back({"10.0.0." + std::to_string(i + 1) + ":80", weights[i]});
  }
  return out;
}

// How many of 10,000 keys each host gets.
std::vector<int> shares(const HashTable& table, std::size_t count) {
  std::vector<int> out(count);
  for (int i = 0; i < 10'000; ++i) ++out[table.at(xxhash64("user-" + std::to_string(i)))];
  return out;
}

struct Case {
  const char* name;
  mesh::HashPolicy policy;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
const Case cases[] = {{"ring", {.table = Table::ring, .table_size = 1024}},
                      {"Maglev", {.table = Table::maglev, .table_size = 65537}}};
class Hashing : public testing::TestWithParam<Case> {};

TEST_P(Hashing, SpreadsKeysOverAllHosts) {
  const HashTable table(GetParam().policy, hosts({1, 1, 1, 1}));
  for (const int share : shares(table, 4)) EXPECT_NEAR(share, 2500, 600);
}

TEST_P(Hashing, GivesMoreToWhoWeighsMore) {
  const HashTable table(GetParam().policy, hosts({1, 3}));
  EXPECT_NEAR(shares(table, 2)[1], 7500, 600);
}

// Of the 7500 keys that are not the host's that goes, two thirds would move by plain division. A
// few do: the others get more points on the ring, and entries of Maglev's table.
TEST_P(Hashing, MostKeysStayWhereTheyAreWhenAnotherHostGoes) {
  const HashTable before(GetParam().policy, hosts({1, 1, 1, 1}));
  const HashTable after(GetParam().policy, hosts({1, 1, 1}));  // the last has gone
  int moved = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto key = xxhash64(std::to_string(i));
    if (before.at(key) != 3 && before.at(key) != after.at(key)) ++moved;
  }
  EXPECT_LT(moved, 2000);
}

TEST_P(Hashing, OneHostGetsAll) {
  const HashTable table(GetParam().policy, hosts({5}));
  EXPECT_EQ(shares(table, 1)[0], 10'000);
}

TEST_P(Hashing, WhereAHostIsRefusedOnlyItsOwnKeysMoveToAllOthers) {
  const HashTable table(GetParam().policy, hosts({1, 1, 1, 1}));
  std::vector<int> got(4);
  for (int i = 0; i < 10'000; ++i) {
    const auto key = xxhash64(std::to_string(i));
    const auto host = table.at(key, [](std::size_t one) { return one != 3; });
    ASSERT_TRUE(host);
    if (table.at(key) != 3) {
      EXPECT_EQ(*host, table.at(key));
    } else {
      ++got[*host];
    }
  }
  EXPECT_EQ(got[3], 0);
  for (int i = 0; i < 3; ++i) EXPECT_GT(got[std::size_t(i)], 300);
  EXPECT_FALSE(table.at(7, [](std::size_t) { return false; }));
}

INSTANTIATE_TEST_SUITE_P(Spec, Hashing, testing::ValuesIn(cases));

TEST(TableSize, IsBoundedSinceAWorkerBuildsIt) {
  const HashTable ring({.table = Table::ring, .table_size = 8 * 1024 * 1024}, hosts({1, 1, 1}));
  EXPECT_EQ(ring.places(), limits::hash_ring_points);
  const HashTable skewed({.table = Table::ring, .table_size = 1024}, hosts({1e9, 1}));
  EXPECT_EQ(skewed.places(), limits::hash_ring_points);
  const HashTable maglev({.table = Table::maglev, .table_size = 5'000'011}, hosts({1, 1, 1}));
  EXPECT_EQ(maglev.places(), limits::hash_maglev_entries);
}

// Ketama: the first point at or after the key, the ring's first one after the last.
TEST(Ring, IsEnvoysKetama) {
  const auto all = hosts({1, 1});
  const HashTable table({.table = Table::ring, .table_size = 4}, all);
  std::map<uint64_t, std::size_t> points;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const char* n : {"_0", "_1"}) points[xxhash64(all[i].key + n)] = i;
  }
  for (const auto& [hash, host] : points) EXPECT_EQ(table.at(hash), host);
  EXPECT_EQ(table.at(points.rbegin()->first + 1), points.begin()->second);
  EXPECT_EQ(table.at(points.begin()->first + 1), std::next(points.begin())->second);
}

TEST(Maglev, FirstEntryOfAHostIsWhereItsKeyHashesTo) {
  const auto all = hosts({1, 1});
  const HashTable table({.table = Table::maglev, .table_size = 65537}, all);
  EXPECT_EQ(table.at(xxhash64(all[0].key) % 65537), 0u);
  EXPECT_EQ(table.at(xxhash64(all[1].key) % 65537), 1u);
}

}  // namespace
}  // namespace sallyport::upstream
