// Which datagrams are a QUIC client's Initial packets, and what their CRYPTO frames hold.
#include "tls/quic_initial.h"

#include <gtest/gtest.h>

#include "tests/support/quic_packets.h"

namespace sallyport::tls {
namespace {

using namespace test::quic;

struct Read {
  QuicReading reading;
  std::string crypto;  // "offset:bytes " of each frame
};
Read read(const std::string& datagram, QuicInitials flow = {}) {
  Read out{};
  out.reading = flow.read(datagram, [&](uint64_t offset, std::string_view bytes) {
    out.crypto += std::to_string(offset) + ":" + std::string(bytes) + " ";
  });
  return out;
}
std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr const char* digits = "0123456789abcdef";
    out += digits[static_cast<uint8_t>(c) >> 4];
    out += digits[c & 15];
  }
  return out;
}

// RFC 9001 appendix A.1, RFC 9369 appendix A.1: of the packets that the tests make.
TEST(QuicInitial, TheTestsKeysAreTheStandards) {
  const std::string id = Initial().connection_id;
  const Keys one = keys_of(v1(), id), two = keys_of(v2(), id);
  EXPECT_EQ(hex(one.key), "1f369613dd76d5467730efcbe3b1a22d");
  EXPECT_EQ(hex(one.iv), "fa044b2f42a3fd3b46fb255c");
  EXPECT_EQ(hex(one.header), "9f50449e04a0e810283a1e9933adedd2");
  EXPECT_EQ(hex(two.key), "8b1a0bc121284290a29e0971b5cd045d");
  EXPECT_EQ(hex(two.iv), "91f73e2351d8fa91660e909f");
  EXPECT_EQ(hex(two.header), "45b95e15235d6f45a6b19cbcb0294ba9");
}

TEST(QuicInitial, OfBothVersionsIsRead) {
  for (const auto& version : {v1(), v2()}) {
    const auto got = read(packet({.version = version, .source_id = "source", .token = "token"},
                                 crypto_frame(7, "hello")));
    EXPECT_EQ(got.reading, QuicReading::initial);
    EXPECT_EQ(got.crypto, "7:hello ");
  }
}

TEST(QuicInitial, OtherFramesOfAnInitialAreSteppedOver) {
  const std::string ack =
      "\x02" + number(5) + number(1) + number(1) + number(2) + number(3) + number(4);
  const std::string ack_with_counts =
      "\x03" + number(5) + number(1) + number(0) + number(2) + number(1) + number(2) + number(3);
  const std::string close = "\x1c" + number(1);
  EXPECT_EQ(read(packet({}, "\x01" + ack + ack_with_counts + crypto_frame(0, "a") +
                                crypto_frame(1, "b") + close + "\x08"))
                .crypto,
            "0:a 1:b ");
}

TEST(QuicInitial, SeveralPacketsOfADatagramAreRead) {
  const auto first = packet({.packet_number = 0, .size = 100}, crypto_frame(0, "a"));
  const auto second = packet({.packet_number = 1}, crypto_frame(1, "b"));
  for (const auto* behind : {"", "\x40short header", "\x01padding"}) {
    const auto got = read(first + second + behind);
    EXPECT_EQ(got.reading, QuicReading::initial);
    EXPECT_EQ(got.crypto, "0:a 1:b ");
  }
}

TEST(QuicInitial, WhatIsNoneIsToldApart) {
  EXPECT_EQ(read("").reading, QuicReading::not_quic);
  EXPECT_EQ(read("\x40short header").reading, QuicReading::not_quic);
  EXPECT_EQ(read(std::string(1'200, 'd')).reading, QuicReading::not_quic);
  EXPECT_EQ(read("\xc0\x01").reading, QuicReading::not_quic);
  auto other = packet({}, crypto_frame(0, "a"));
  other.replace(1, 4, "\x0a\x0a\x0a\x0a");
  EXPECT_EQ(read(other).reading, QuicReading::unknown_version) << "greased (RFC 9287)";
  auto handshake = packet({}, crypto_frame(0, "a"));
  handshake[0] = char(handshake[0] | 0x20);
  EXPECT_NE(read(handshake).reading, QuicReading::initial);
}

TEST(QuicInitial, AByteThatIsChangedAnywhereIsNoticed) {
  const auto good = packet({}, crypto_frame(0, "hello"));
  for (std::size_t at = 0; at < good.size(); at++) {
    auto bad = good;
    bad[at] = char(bad[at] ^ 1);
    EXPECT_NE(read(bad).reading, QuicReading::initial) << at;
    EXPECT_EQ(read(bad).crypto, "") << at;
  }
}

TEST(QuicInitial, EveryPrefixIsReadWithoutFault) {
  const auto good = packet({.token = "token"}, crypto_frame(0, "hello"));
  for (std::size_t size = 0; size < good.size(); size++) {
    const auto got = read(good.substr(0, size));
    EXPECT_EQ(got.reading, size < 5 ? QuicReading::not_quic : QuicReading::broken) << size;
  }
}

TEST(QuicInitial, FramesThatAnInitialCannotHaveAreRefused) {
  for (const std::string& frames : {std::string("\x08stream"), "\x06" + number(0) + number(2'000),
                                    std::string("\x02\x05"), std::string("\x1f")}) {
    // No padding behind it: the frame is the packet's end.
    const std::string whole = std::string(1'200, '\1') + frames;
    EXPECT_EQ(read(packet({}, whole)).reading, QuicReading::broken) << hex(frames);
  }
}

TEST(QuicInitial, ConnectionIdsOfImpossibleLengthsAreRefused) {
  EXPECT_EQ(read(packet({.connection_id = "1234567"}, crypto_frame(0, "a"))).reading,
            QuicReading::broken);
  EXPECT_EQ(read(packet({.connection_id = std::string(21, 'i')}, crypto_frame(0, "a"))).reading,
            QuicReading::broken);
  EXPECT_EQ(read(packet({.connection_id = std::string(20, 'i')}, crypto_frame(0, "a"))).reading,
            QuicReading::initial);
}

}  // namespace
}  // namespace sallyport::tls
