// Whose connection to the CA makes room for a newcomer.
#include "certs/ca/connection_room.h"

#include <gtest/gtest.h>

#include <vector>

#include "agent/core/limits.h"
#include "certs/ca/server_limits.h"

namespace sallyport::ca {
namespace {

using namespace std::chrono_literals;
using Verdict = Room::Verdict;

const SteadyTime now{1h};
constexpr const char* newcomer = "10.0.0.9";

// Of `count` addresses, the first the oldest; number 0 first.
std::vector<HeldConnection> held(std::size_t count, const HeldConnection& like,
                                 const std::string& ip = "") {
  std::vector<HeldConnection> all(count, like);
  for (std::size_t i = 0; i < count; ++i) {
    all[i].number = static_cast<int>(i);
    all[i].ip = ip.empty() ? "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250) : ip;
    all[i].since = now - 1min + std::chrono::milliseconds(i);
  }
  return all;
}

const HeldConnection unproven{}, idle{.proven = true, .busy = false},
    calling{.proven = true, .busy = true};

TEST(ConnectionRoom, BelowTheLimitsNobodyGoes) {
  EXPECT_EQ(room_for(newcomer, {}, now).verdict, Verdict::there_is);
  EXPECT_EQ(room_for(newcomer, held(limits::ca_connections - 1, unproven), now).verdict,
            Verdict::there_is);
}

TEST(ConnectionRoom, TheOldestOfThoseWithoutASuccessGoesFirst) {
  auto all = held(limits::ca_connections, idle);
  EXPECT_EQ(room_for(newcomer, all, now).number, 0);
  all[500].proven = all[501].proven = false;
  const Room room = room_for(newcomer, all, now);
  EXPECT_EQ(room.verdict, Verdict::close);
  EXPECT_EQ(room.number, 500);
}

TEST(ConnectionRoom, AHandshakeOrACallHasItsTime) {
  auto all = held(limits::ca_connections, calling);
  for (auto& one : all) one.since = now - limits::grpc_grace + 1ms;
  EXPECT_EQ(room_for(newcomer, all, now).verdict, Verdict::refuse_newcomer);
  all[7].busy = false;
  EXPECT_EQ(room_for(newcomer, all, now).number, 7);
}

TEST(ConnectionRoom, AnAddressThatHasItsShareGivesOfItsOwn) {
  auto all = held(limits::ca_connections_per_address, idle, newcomer);
  for (auto& one : all) one.number += 1000;
  const auto others = held(100, unproven);
  all.insert(all.begin(), others.begin(), others.end());
  EXPECT_EQ(room_for(newcomer, all, now).number, 1000);
  EXPECT_EQ(room_for("10.0.0.8", all, now).verdict, Verdict::there_is);
}

}  // namespace
}  // namespace sallyport::ca
