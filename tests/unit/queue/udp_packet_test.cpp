// Which packets are a whole UDP datagram, and whose.
#include "iptables/queue/udp_packet.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "tests/support/quic_packets.h"

namespace sallyport::rules {
namespace {

using test::quic::big_endian;

std::string udp(const std::string& payload, int longer = 0) {
  return big_endian(4711, 2) + big_endian(443, 2) +
         big_endian(8 + payload.size() + std::size_t(longer), 2) + big_endian(0, 2) + payload;
}
struct V4 {
  unsigned protocol = IPPROTO_UDP, fragment = 0x4000, options = 0;
  int longer = 0;
};
std::string v4(const std::string& datagram, const V4& how = {}) {
  const std::size_t header = 20 + how.options;
  return std::string(1, char(0x40 | header / 4)) + '\0' +
         big_endian(header + datagram.size() + std::size_t(how.longer), 2) + big_endian(1, 2) +
         big_endian(how.fragment, 2) + '\x40' + char(how.protocol) + big_endian(0, 2) +
         std::string("\x0a\0\0\1\xc6\x33\x64\7", 8) + std::string(how.options, '\0') + datagram;
}
std::string v6(const std::string& rest, unsigned next = IPPROTO_UDP, int longer = 0) {
  std::string source(16, '\0'), destination(16, '\0');
  source[15] = 1;
  destination[15] = 7;
  return std::string("\x60\0\0\0", 4) + big_endian(rest.size() + std::size_t(longer), 2) +
         char(next) + '\x40' + source + destination + rest;
}
std::string extension(unsigned next, unsigned more = 0) {
  return std::string(1, char(next)) + char(more) + std::string(6 + 8 * more, '\0');
}

std::string told(const std::string& packet) {
  const auto read = read_udp_packet(packet);
  if (!read) return "none";
  return read->source.text() + " " + read->destination.text() + " " +
         std::string(read->payload.begin(), read->payload.end());
}

TEST(UdpPacket, OfBothFamiliesIsRead) {
  EXPECT_EQ(told(v4(udp("hello"))), "10.0.0.1:4711 198.51.100.7:443 hello");
  EXPECT_EQ(told(v4(udp("hello"), {.options = 8})), "10.0.0.1:4711 198.51.100.7:443 hello");
  EXPECT_EQ(told(v6(udp("hello"))), "[::1]:4711 [::7]:443 hello");
  EXPECT_EQ(told(v4(udp(""))), "10.0.0.1:4711 198.51.100.7:443 ");
}

TEST(UdpPacket, ExtensionHeadersAreSteppedOver) {
  EXPECT_EQ(told(v6(extension(IPPROTO_DSTOPTS) + extension(IPPROTO_FRAGMENT, 1) +
                        extension(IPPROTO_UDP) + udp("hello"),
                    IPPROTO_HOPOPTS)),
            "[::1]:4711 [::7]:443 hello")
      << "an atomic fragment is whole";
  std::string many;
  for (int i = 0; i < 9; i++)
    many += extension(unsigned(i < 8 ? int(IPPROTO_DSTOPTS) : int(IPPROTO_UDP)));
  EXPECT_EQ(told(v6(many + udp("hello"), IPPROTO_DSTOPTS)), "none");
}

TEST(UdpPacket, FragmentsAndOtherProtocolsAreNone) {
  EXPECT_EQ(told(v4(udp("hello"), {.protocol = IPPROTO_TCP})), "none");
  EXPECT_EQ(told(v4(udp("hello"), {.fragment = 0x2000})), "none") << "the first of several";
  EXPECT_EQ(told(v4(udp("hello"), {.fragment = 5})), "none") << "a later one";
  EXPECT_EQ(told(v6(udp("hello"), IPPROTO_TCP)), "none");
  EXPECT_EQ(told(v6(std::string("\x11\0\0\1\0\0\0\1", 8) + udp("hello"), IPPROTO_FRAGMENT)),
            "none");
  EXPECT_EQ(told(std::string(60, '\x55')), "none");
  EXPECT_EQ(told(""), "none");
}

TEST(UdpPacket, LengthsThatLieAreNone) {
  EXPECT_EQ(told(v4(udp("hello"), {.longer = 1})), "none");
  EXPECT_EQ(told(v4(udp("hello", 1))), "none");
  EXPECT_EQ(told(v4(udp("hello", -6))), "none") << "less than its header";
  EXPECT_EQ(told(v6(udp("hello"), IPPROTO_UDP, 1)), "none");
  EXPECT_EQ(told(v4(udp("hello")) + "behind"), "10.0.0.1:4711 198.51.100.7:443 hello");
  auto short_header = v4(udp("hello"));
  short_header[0] = 0x44;
  EXPECT_EQ(told(short_header), "none");
}

TEST(UdpPacket, EveryPrefixIsNone) {
  for (const auto& whole :
       {v4(udp("hello")), v6(extension(IPPROTO_UDP) + udp("hello"), IPPROTO_HOPOPTS)}) {
    for (std::size_t size = 0; size < whole.size(); size++)
      EXPECT_EQ(told(whole.substr(0, size)), "none") << size;
  }
}

}  // namespace
}  // namespace sallyport::rules
