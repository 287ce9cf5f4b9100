// What the first datagrams of a UDP flow are, and which of them wait for that.
#include "iptables/queue/udp_flows.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"
#include "tests/support/quic_packets.h"

namespace sallyport::rules {
namespace {

using namespace test::quic;
using Kind = mesh::UdpFlow::Kind;
using Ids = std::vector<uint32_t>;

Ids ids(const ReadFlow& flow) {
  Ids out;
  for (const auto& one : flow.datagrams) out.push_back(one.id);
  return out;
}

const std::string hello = client_hello("Example.com");
// A ClientHello in two datagrams.
const std::string first_half = packet({}, crypto_frame(0, std::string_view(hello).substr(0, 40)));
const std::string second_half = packet({}, crypto_frame(40, std::string_view(hello).substr(40)));

class Flows : public testing::Test {
protected:
  std::optional<ReadFlow> add(const std::string& payload, uint16_t source_port = 5'000) {
    const UdpPacket packet{SocketAddress::parse("10.0.0.1:" + std::to_string(source_port)).value(),
                           SocketAddress::parse("198.51.100.7:443").value(), payload};
    return flows_.add({next_++, 0}, packet, now_);
  }
  UdpFlows flows_;
  UdpFlows::Time now_{};
  uint32_t next_ = 1;
};

TEST_F(Flows, WhatIsNoQuicIsKnownAtOnce) {
  const auto flow = add("a question of DNS");
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->kind, Kind::other);
  EXPECT_EQ(ids(*flow), Ids{1});
  EXPECT_EQ(flow->source.text() + " " + flow->destination.text(), "10.0.0.1:5000 198.51.100.7:443");
}

TEST_F(Flows, AQuicClientsNameIsReadInLowerCase) {
  const auto flow = add(packet({}, crypto_frame(0, hello)));
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->kind, Kind::quic);
  EXPECT_EQ(flow->sni, "example.com");
}

TEST_F(Flows, DatagramsWaitUntilTheClientHelloIsWhole) {
  EXPECT_FALSE(add(first_half));
  EXPECT_FALSE(add(first_half)) << "sent again";
  EXPECT_TRUE(add("another flow", 6'000));
  const auto flow = add(second_half);
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->kind, Kind::quic);
  EXPECT_EQ(ids(*flow), (Ids{1, 2, 4}));
  EXPECT_EQ(flows_.held(), 0u);
}

TEST_F(Flows, WhatDoesNotFitWhatCameBeforeIsUnread) {
  EXPECT_FALSE(add(first_half));
  const auto flow = add("not of QUIC");
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->kind, Kind::unread);
  EXPECT_EQ(flow->why, "a QUIC flow without a whole ClientHello");
  EXPECT_EQ(ids(*flow), (Ids{1, 2}));
}

TEST_F(Flows, BrokenForgedAndUnknownQuicIsUnread) {
  EXPECT_EQ(add(packet({}, crypto_frame(0, hello)).substr(0, 1'000))->why, "a broken QUIC packet");
  auto greased = packet({}, crypto_frame(0, hello));
  greased.replace(1, 4, "\x1a\x2a\x3a\x4a");
  EXPECT_EQ(add(greased)->why, "QUIC of an unknown version");
}

TEST_F(Flows, DatagramsThatNeverMakeAClientHelloAreBounded) {
  for (std::size_t i = 1; i < limits::udp_held_datagrams; i++) ASSERT_FALSE(add(first_half)) << i;
  const auto flow = add(first_half);
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->why, "a QUIC ClientHello over too many datagrams");
  EXPECT_EQ(flow->datagrams.size(), limits::udp_held_datagrams);
}

TEST_F(Flows, FlowsThatWaitAreBounded) {
  for (std::size_t i = 0; i < limits::udp_held_flows; i++)
    ASSERT_FALSE(add(first_half, uint16_t(1'000 + i)));
  EXPECT_EQ(add(first_half, 999)->why, "too many QUIC flows at once");
  EXPECT_TRUE(add(packet({}, crypto_frame(0, hello)), 999)) << "a whole one needs no room";
  EXPECT_FALSE(add(first_half, 1'000)) << "who waits already goes on";
}

TEST_F(Flows, WhoWaitsTooLongIsUnread) {
  EXPECT_FALSE(add(first_half));
  const auto half = std::chrono::milliseconds(limits::udp_hold_time) / 2;
  now_ += half;
  EXPECT_FALSE(add(first_half, 6'000));
  EXPECT_TRUE(flows_.overdue(now_).empty());
  now_ += half;
  const auto late = flows_.overdue(now_);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].kind, Kind::unread);
  EXPECT_EQ(late[0].why, "a QUIC ClientHello whose rest did not come");
  EXPECT_EQ(ids(late[0]), Ids{1});
  EXPECT_EQ(flows_.held(), 1u);
}

}  // namespace
}  // namespace sallyport::rules
