// A ClientHello out of a QUIC flow's first datagrams: in pieces, in any order, twice, forged.
#include "iptables/queue/quic_hello.h"

#include <gtest/gtest.h>

#include "tests/support/quic_packets.h"

namespace sallyport::rules {
namespace {

using namespace test::quic;
using State = QuicHello::State;

const std::string hello = client_hello("example.com");

TEST(QuicHello, OfOnePacketIsRead) {
  for (const auto& version : {v1(), v2()}) {
    QuicHello flow;
    ASSERT_EQ(flow.add(packet({.version = version}, crypto_frame(0, hello))), State::done);
    EXPECT_EQ(flow.preface().sni, "example.com");
    EXPECT_EQ(flow.preface().alpn, std::vector<std::string>{"h3"});
  }
}

// The packets of RFC 9001 appendix A.2 are in tests/fuzz/corpus/quic_hello.
TEST(QuicHello, OverFivePacketsInAnyOrderAndTwiceIsRead) {
  const auto large = client_hello("example.com", 5'000);
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < large.size(); at += 1'100)
    pieces.push_back(packet({.packet_number = uint32_t(at)},
                            crypto_frame(at, std::string_view(large).substr(at, 1'100))));
  ASSERT_EQ(pieces.size(), 5u);
  for (const auto& order :
       {std::vector<std::size_t>{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 2, 0, 4, 0, 1, 3}}) {
    QuicHello flow;
    for (std::size_t i = 0; i < order.size(); i++) {
      const auto state = flow.add(pieces[order[i]]);
      ASSERT_EQ(state, i + 1 < order.size() ? State::more : State::done) << i;
    }
    EXPECT_EQ(flow.preface().sni, "example.com");
  }
}

// As browsers send them, to be read by nobody on the way.
TEST(QuicHello, OfFramesThatAreShuffledWithinAPacketIsRead) {
  const std::string_view bytes = hello;
  QuicHello flow;
  EXPECT_EQ(flow.add(packet({}, crypto_frame(40, bytes.substr(40)) + "\x01" +
                                    crypto_frame(3, bytes.substr(3, 40)) + std::string(5, '\0') +
                                    crypto_frame(0, bytes.substr(0, 3)))),
            State::done);
  EXPECT_EQ(flow.preface().sni, "example.com");
}

TEST(QuicHello, FramesThatDisagreeAreRefused) {
  const auto other = client_hello("evil.example");
  QuicHello flow;
  EXPECT_EQ(flow.add(packet({}, crypto_frame(0, std::string_view(hello).substr(0, 60)))),
            State::more);
  EXPECT_EQ(flow.add(packet({}, crypto_frame(0, other))), State::refused);
  EXPECT_STREQ(flow.why(), "CRYPTO frames disagree");
}

// Each with keys of its own: the server would take one, and could be another than the one that was
// judged.
TEST(QuicHello, OfTwoConnectionsOnOneFlowIsRefused) {
  const auto first = packet({}, crypto_frame(0, std::string_view(hello).substr(0, 60)));
  const auto rest = crypto_frame(60, std::string_view(hello).substr(60));
  for (const auto& second :
       {packet({.connection_id = "another one"}, rest), packet({.version = v2()}, rest),
        packet({.connection_id = "another one"}, crypto_frame(0, hello))}) {
    QuicHello apart, together;
    EXPECT_EQ(apart.add(first), State::more);
    EXPECT_EQ(apart.add(second), State::refused);
    EXPECT_STREQ(apart.why(), "QUIC Initial packets of two connections");
    EXPECT_EQ(together.add(first + second), State::refused);
  }
}

// RFC 9000 section 14.1: a server drops it, and takes what comes next.
TEST(QuicHello, InADatagramThatNoServerTakesIsRefused) {
  QuicHello flow;
  EXPECT_EQ(flow.add(packet({.size = 1'199}, crypto_frame(0, hello))), State::refused);
  EXPECT_STREQ(flow.why(), "a QUIC Initial packet in a datagram under 1,200 bytes");
}

TEST(QuicHello, WithoutASniIsDoneWithout) {
  QuicHello flow;
  EXPECT_EQ(flow.add(packet({}, crypto_frame(0, client_hello("")))), State::refused)
      << "an empty name is none";
}

TEST(QuicHello, AnotherMessageOrATooLongOneIsRefused) {
  auto finished = hello;
  finished[0] = 20;
  QuicHello first;
  EXPECT_EQ(first.add(packet({}, crypto_frame(0, finished))), State::refused);
  QuicHello second;
  EXPECT_EQ(second.add(packet({}, crypto_frame(0, std::string("\x01\x01\x00\x00", 4)))),
            State::refused);
  EXPECT_STREQ(second.why(), "the ClientHello is too long");
  QuicHello third;
  EXPECT_EQ(third.add(packet({}, crypto_frame(1'000'000, "x"))), State::refused);
}

TEST(QuicHello, WhatIsNoQuicOrOfAnUnknownVersionIsToldApart) {
  QuicHello dns, greased, forged, short_one;
  EXPECT_EQ(dns.add(std::string("\x12\x34\x01\x00", 4)), State::no_quic);
  auto other = packet({}, crypto_frame(0, hello));
  other.replace(1, 4, "\x1a\x2a\x3a\x4a");
  EXPECT_EQ(greased.add(other), State::unknown);
  auto bad = packet({}, crypto_frame(0, hello));
  bad.back() = char(bad.back() ^ 1);
  EXPECT_EQ(forged.add(bad), State::refused);
  EXPECT_STREQ(forged.why(), "a QUIC packet that does not decrypt");
  EXPECT_EQ(short_one.add(bad.substr(0, 1'199)), State::refused);
  EXPECT_STREQ(short_one.why(), "a broken QUIC packet");
}

}  // namespace
}  // namespace sallyport::rules
