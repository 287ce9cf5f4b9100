// The PROXY protocol by its specification (haproxy's proxy-protocol.txt; its sections are named).
#include "agent/sniff/proxy_protocol.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"

namespace sallyport::sniff {
namespace {

using namespace std::string_literals;

const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;
const std::string v1 = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";  // section 2.1

std::string number(std::size_t value, int size) {
  std::string out;
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift & 0xff);
  return out;
}

std::string v2(uint8_t command, uint8_t family, const std::string& rest) {
  return signature + static_cast<char>(command) + static_cast<char>(family) +
         number(rest.size(), 2) + rest;
}
std::string tlv(uint8_t type, const std::string& value) {
  return static_cast<char>(type) + number(value.size(), 2) + value;
}

const std::string v4_addresses = "\x0a\x01\x02\x03\xc6\x33\x64\x01\xdc\x04\x01\xbb"s;
const std::string v6_addresses =
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xdc\x04\x01\xbb"s;

// Bit by bit, as RFC 3720 appendix B.4's examples can be followed by hand.
uint32_t crc32c(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

// A header with a CRC32C, right but for `error`, and `rest` behind it.
std::string with_crc(const std::string& rest, uint32_t error = 0) {
  const std::string before = v4_addresses + tlv(1, "h2");
  const auto header = [&](uint32_t crc) {
    return v2(0x21, 0x11, before + tlv(3, number(crc, 4)) + rest);
  };
  return header(crc32c(header(0)) ^ error);
}

struct Decided {
  const char* rule;
  std::string bytes, source, destination;
};
void PrintTo(const Decided& c, std::ostream* out) { *out << c.rule; }
class ProxyHeaders : public testing::TestWithParam<Decided> {};
TEST_P(ProxyHeaders, AreReadToTheirEndAndNoFurther) {
  const auto& c = GetParam();
  const auto out = read_proxy_header(c.bytes + "GET /");
  ASSERT_EQ(out.state, ProxyState::decided) << c.rule << ": " << out.reason;
  EXPECT_EQ(out.size, c.bytes.size()) << c.rule;
  EXPECT_EQ(out.version, c.bytes[0] == 'P' ? 1 : 2) << c.rule;
  EXPECT_EQ(out.source.text(), c.source) << c.rule;
  EXPECT_EQ(out.destination.text(), c.destination) << c.rule;
}
TEST_P(ProxyHeaders, AreWaitedForByteByByte) {
  const auto& c = GetParam();
  for (std::size_t size = 0; size < c.bytes.size(); size++) {
    // An exact allocation, so that a look behind the end is seen by the sanitizer.
    const std::vector<char> part(c.bytes.begin(),
                                 c.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(read_proxy_header({part.data(), size}).state, ProxyState::more)
        << c.rule << ", " << size << " bytes";
  }
}

const std::string longest_v6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
INSTANTIATE_TEST_SUITE_P(
    Version1, ProxyHeaders,
    testing::Values(
        Decided{"TCP over IPv4", v1, "192.168.0.1:56324", "192.168.0.11:443"},
        Decided{"TCP over IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
                "[2001:db8::1]:1", "[2001:db8::2]:65535"},
        Decided{"IPv6 at its longest",
                "PROXY TCP6 " + longest_v6 + " " + longest_v6 + " 65535 65535\r\n",
                "[" + longest_v6 + "]:65535", "[" + longest_v6 + "]:65535"},
        Decided{"IPv4 written as IPv6", "PROXY TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1 2\r\n",
                "1.2.3.4:1", "5.6.7.8:2"},
        Decided{"port 0 is a port", "PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4:0", "5.6.7.8:0"},
        Decided{"unknown, short", "PROXY UNKNOWN\r\n", "-", "-"},
        Decided{"unknown: what else is there is ignored, at its longest",
                "PROXY UNKNOWN " + longest_v6 + " " + longest_v6 + " 65535 65535\r\n", "-", "-"}));

INSTANTIATE_TEST_SUITE_P(
    Version2, ProxyHeaders,
    testing::Values(
        Decided{"TCP over IPv4", v2(0x21, 0x11, v4_addresses), "10.1.2.3:56324",
                "198.51.100.1:443"},
        Decided{"TCP over IPv6", v2(0x21, 0x21, v6_addresses), "[2001:db8::1]:56324",
                "[2001:db8::2]:443"},
        Decided{"LOCAL: the connection's own addresses hold", v2(0x20, 0x00, ""), "-", "-"},
        Decided{"LOCAL: its block is skipped, whatever family it names", v2(0x20, 0xf7, "junk"),
                "-", "-"},
        Decided{"unspecified: its block is skipped", v2(0x21, 0x00, "junk"), "-", "-"},
        Decided{"unspecified transport", v2(0x21, 0x10, ""), "-", "-"},
        Decided{"unspecified family", v2(0x21, 0x01, ""), "-", "-"},
        Decided{"UDP's addresses are not this connection's", v2(0x21, 0x12, v4_addresses), "-",
                "-"},
        Decided{"unix sockets have no IP address", v2(0x21, 0x31, std::string(216, 'u')), "-", "-"},
        Decided{"TLVs are read over",
                v2(0x21, 0x11, v4_addresses + tlv(2, "a.test") + tlv(4, "") + tlv(0xea, "aws")),
                "10.1.2.3:56324", "198.51.100.1:443"},
        Decided{"a checksum that is right", with_crc(tlv(4, "x")), "10.1.2.3:56324",
                "198.51.100.1:443"},
        Decided{
            "as long as it may be",
            v2(0x21, 0x11, v4_addresses + tlv(4, std::string(limits::proxy_header_bytes - 31, 0))),
            "10.1.2.3:56324", "198.51.100.1:443"}));

struct RefusedHeader {
  const char* rule;
  std::string bytes, reason;
};
void PrintTo(const RefusedHeader& c, std::ostream* out) { *out << c.rule; }
class RefusedHeaders : public testing::TestWithParam<RefusedHeader> {};
TEST_P(RefusedHeaders, SayWhy) {
  const auto out = read_proxy_header(GetParam().bytes);
  ASSERT_EQ(out.state, ProxyState::refused) << GetParam().rule;
  EXPECT_EQ(out.reason, GetParam().reason) << GetParam().rule;
}
// "As soon as possible" (section 2.1): the last byte of each case is the one that decides.
TEST_P(RefusedHeaders, AreRefusedAtTheByteThatIsWrong) {
  const auto& bytes = GetParam().bytes;
  EXPECT_EQ(read_proxy_header(bytes.substr(0, bytes.size() - 1)).state, ProxyState::more)
      << GetParam().rule;
}

const std::string none = "no PROXY protocol header";
const std::string addresses = "PROXY protocol header with malformed addresses";
const std::string protocol = "PROXY protocol header of an unknown protocol";
const std::string line_end = "PROXY protocol header that does not end in CRLF";
std::string line(const std::string& rest) { return "PROXY " + rest + "\r\n"; }
INSTANTIATE_TEST_SUITE_P(
    Version1, RefusedHeaders,
    testing::Values(
        RefusedHeader{"a client that writes none", "G", none},
        RefusedHeader{"one letter's case", "PROXy", none},
        RefusedHeader{"two blanks", line("TCP4  1.2.3.4 5.6.7.8 1 2"), addresses},
        RefusedHeader{"two blanks further on", line("TCP4 1.2.3.4 5.6.7.8  1 2"), addresses},
        RefusedHeader{"a blank at the end", line("TCP4 1.2.3.4 5.6.7.8 1 2 "), addresses},
        RefusedHeader{"more than belongs there", line("TCP4 1.2.3.4 5.6.7.8 1 2 3"), addresses},
        RefusedHeader{"less than belongs there", line("TCP4 1.2.3.4 5.6.7.8 1"), addresses},
        RefusedHeader{"zeros before a number", line("TCP4 1.2.3.4 5.6.7.8 01 2"), addresses},
        RefusedHeader{"zeros before an address's", line("TCP4 01.2.3.4 5.6.7.8 1 2"), addresses},
        RefusedHeader{"a port of more than 16 bits", line("TCP4 1.2.3.4 5.6.7.8 65536 2"),
                      addresses},
        RefusedHeader{"a port with a sign", line("TCP4 1.2.3.4 5.6.7.8 +1 2"), addresses},
        RefusedHeader{"an address of the other family", line("TCP4 ::1 5.6.7.8 1 2"), addresses},
        RefusedHeader{"the other way round", line("TCP6 ::1 5.6.7.8 1 2"), addresses},
        RefusedHeader{"a name", line("TCP4 localhost 5.6.7.8 1 2"), addresses},
        RefusedHeader{"NUL", line("TCP4 1.2.3.4\0 5.6.7.8 1 2"s), addresses},
        RefusedHeader{"UDP", line("UDP4 1.2.3.4 5.6.7.8 1 2"), protocol},
        RefusedHeader{"nothing", line(""), protocol},
        RefusedHeader{"a word that begins like another", line("UNKNOWNS"), protocol},
        RefusedHeader{"LF alone", "PROXY UNKNOWN\n", line_end},
        RefusedHeader{"CR alone", "PROXY UNKNOWN\rx", line_end},
        RefusedHeader{"108 bytes with CRLF", "PROXY UNKNOWN " + std::string(92, 'x') + "\r",
                      line_end},
        RefusedHeader{"107 bytes without", "PROXY UNKNOWN " + std::string(93, 'x'),
                      "PROXY protocol header longer than 107 bytes"}));

const std::string cut_short = "PROXY protocol header with a TLV cut short";
const std::string malformed_crc = "PROXY protocol header with a malformed CRC32C";
INSTANTIATE_TEST_SUITE_P(
    Version2, RefusedHeaders,
    testing::Values(RefusedHeader{"another signature", signature.substr(0, 11) + "\r", none},
                    RefusedHeader{"another version", signature + "\x11",
                                  "PROXY protocol of an unknown version"},
                    RefusedHeader{"a command that is none", signature + "\x22",
                                  "PROXY protocol header with an unknown command"},
                    RefusedHeader{"a family that is none", signature + "\x21\x41", protocol},
                    RefusedHeader{"a transport that is none", signature + "\x21\x13", protocol},
                    RefusedHeader{"longer than 4 KiB", signature + "\x21\x11\x0f\xf1",
                                  "PROXY protocol header longer than 4 KiB"},
                    RefusedHeader{"LOCAL longer than 4 KiB", signature + "\x20\0\xff\xff"s,
                                  "PROXY protocol header longer than 4 KiB"},
                    RefusedHeader{"no place for IPv4 addresses",
                                  v2(0x21, 0x11, v4_addresses.substr(1)),
                                  "PROXY protocol header too short for its addresses"},
                    RefusedHeader{"no place for IPv6 addresses",
                                  v2(0x21, 0x21, v6_addresses.substr(1)),
                                  "PROXY protocol header too short for its addresses"},
                    RefusedHeader{"no place for paths", v2(0x21, 0x31, std::string(215, 'u')),
                                  "PROXY protocol header too short for its addresses"},
                    RefusedHeader{"a TLV without a length",
                                  v2(0x21, 0x11, v4_addresses + "\x04\x01"), cut_short},
                    RefusedHeader{"a TLV that ends too late",
                                  v2(0x21, 0x11, v4_addresses + "\x04\0\x02x"s), cut_short},
                    RefusedHeader{"a checksum of another length",
                                  v2(0x21, 0x11, v4_addresses + tlv(3, "abc")), malformed_crc},
                    RefusedHeader{"two checksums", with_crc(tlv(3, "abcd")), malformed_crc},
                    RefusedHeader{"a checksum with one bit turned", with_crc("", 1),
                                  "PROXY protocol header with a wrong CRC32C"}));

TEST(ProxyHeader, WithAChecksumIsReadAsTheRfcSays) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);  // the check value that catalogues of CRCs give
  auto turned = with_crc("");
  turned[16] = static_cast<char>(turned[16] ^ 1);  // of the source address
  EXPECT_STREQ(read_proxy_header(turned).reason, "PROXY protocol header with a wrong CRC32C");
}

SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }

TEST(WrittenProxyHeader, IsTheSpecificationsExample) {
  EXPECT_EQ(proxy_header_v1(at("192.168.0.1:56324"), at("192.168.0.11:443")), v1);
  EXPECT_EQ(proxy_header_v1(at("[2001:db8::1]:1"), at("[2001:db8::2]:65535")),
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
  EXPECT_EQ(proxy_header_v2(at("10.1.2.3:56324"), at("198.51.100.1:443")),
            v2(0x21, 0x11, v4_addresses));
  EXPECT_EQ(proxy_header_v2(at("[2001:db8::1]:56324"), at("[2001:db8::2]:443")),
            v2(0x21, 0x21, v6_addresses));
}

TEST(WrittenProxyHeader, IsReadAsItWasMeant) {
  for (const auto& [source, destination] :
       {std::pair("1.2.3.4:0", "255.255.255.255:65535"), std::pair("[::1]:1", "[2001:db8::2]:2")}) {
    for (const auto& header : {proxy_header_v1(at(source), at(destination)),
                               proxy_header_v2(at(source), at(destination))}) {
      const auto out = read_proxy_header(header + "GET /");
      ASSERT_EQ(out.state, ProxyState::decided) << out.reason;
      EXPECT_EQ(out.size, header.size());
      EXPECT_EQ(out.source, at(source));
      EXPECT_EQ(out.destination, at(destination));
    }
  }
}

TEST(WrittenProxyHeader, OfTheSendersOwnConnectionIsLocal) {
  EXPECT_EQ(proxy_header_v2_local(), v2(0x20, 0x00, ""));
  const auto out = read_proxy_header(proxy_header_v2_local());
  EXPECT_EQ(out.state, ProxyState::decided);
  EXPECT_FALSE(out.source.is_set() || out.destination.is_set());
}

TEST(WrittenProxyHeader, SaysSoWhereItHasNoPairOfAddresses) {
  const auto unix_socket = SocketAddress::unix_socket("/run/x.sock").value();
  for (const auto& [source, destination] :
       {std::pair(at("1.2.3.4:1"), at("[::1]:2")), std::pair(at("1.2.3.4:1"), SocketAddress()),
        std::pair(SocketAddress(), SocketAddress()), std::pair(unix_socket, unix_socket)}) {
    EXPECT_EQ(proxy_header_v1(source, destination), "PROXY UNKNOWN\r\n");
    EXPECT_EQ(proxy_header_v2(source, destination), v2(0x21, 0x00, ""));
  }
}

}  // namespace
}  // namespace sallyport::sniff
