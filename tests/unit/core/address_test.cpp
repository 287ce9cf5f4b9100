// Addresses as values: what is read, what is refused, how it is written.
#include "agent/core/address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <set>
#include <unordered_set>

#include "agent/core/limits.h"

namespace sallyport {
namespace {

struct IpCase {
  const char* name;
  const char* text;
  const char* expect;  // null: refused
};
const IpCase ip_cases[] = {
    {"IPv4", "10.0.0.1", "10.0.0.1"},
    {"IPv4, all bits", "255.255.255.255", "255.255.255.255"},
    {"IPv6 is written in its shortest form", "2001:0db8:0000:0000:0000:0000:0000:0001",
     "2001:db8::1"},
    {"IPv6 loopback", "::1", "::1"},
    {"IPv4 mapped into IPv6 becomes IPv4", "::ffff:192.0.2.7", "192.0.2.7"},
    {"leading zeros are refused, some read them as octal", "10.0.0.010", nullptr},
    {"three parts are no address", "10.0.1", nullptr},
    {"a number too large", "10.0.0.256", nullptr},
    {"brackets belong to a socket address", "[::1]", nullptr},
    {"no zone", "fe80::1%eth0", nullptr},
    {"a host name", "localhost", nullptr},
    {"nothing", "", nullptr},
    {"blanks around it", " 10.0.0.1", nullptr},
    {"longer than any address", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", nullptr},
};
class IpAddressText : public testing::TestWithParam<IpCase> {};
TEST_P(IpAddressText, IsReadAndWritten) {
  const auto ip = IpAddress::parse(GetParam().text);
  ASSERT_EQ(ip.has_value(), GetParam().expect != nullptr) << GetParam().name;
  EXPECT_EQ(ip ? ip->text() : "", GetParam().expect ? GetParam().expect : "") << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, IpAddressText, testing::ValuesIn(ip_cases));

TEST(IpAddress, KnowsItsFamilyAndSpecialAddresses) {
  EXPECT_FALSE(IpAddress().is_set());
  EXPECT_TRUE(IpAddress::parse("10.0.0.1")->is_v4());
  EXPECT_TRUE(IpAddress::parse("::1")->is_v6());
  EXPECT_TRUE(IpAddress::parse("127.8.9.1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("128.0.0.1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("0.0.0.0")->is_unspecified());
  EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
  EXPECT_FALSE(IpAddress::parse("0.0.0.1")->is_unspecified());
  EXPECT_FALSE(IpAddress().is_unspecified());
  EXPECT_EQ(IpAddress::v4(0x0a000001).text(), "10.0.0.1");
}

TEST(IpAddress, EmbeddedZeroByteEndsNothing) {
  EXPECT_FALSE(IpAddress::parse(std::string_view("10.0.0.1\0x", 10)));
}

const IpCase socket_cases[] = {
    {"IPv4", "1.2.3.4:80", "1.2.3.4:80"},
    {"IPv6 in brackets", "[2001:db8::1]:443", "[2001:db8::1]:443"},
    {"port 0 asks for any", "127.0.0.1:0", "127.0.0.1:0"},
    {"the highest port", "127.0.0.1:65535", "127.0.0.1:65535"},
    {"IPv6 without brackets could be read two ways", "2001:db8::1:80", nullptr},
    {"IPv4 in brackets", "[1.2.3.4]:80", nullptr},
    {"no port", "1.2.3.4", nullptr},
    {"an empty port", "1.2.3.4:", nullptr},
    {"a port too large", "1.2.3.4:65536", nullptr},
    {"a signed port", "1.2.3.4:+80", nullptr},
    {"a port with a leading zero", "1.2.3.4:080", nullptr},
    {"a name", "localhost:80", nullptr},
};
class SocketAddressText : public testing::TestWithParam<IpCase> {};
TEST_P(SocketAddressText, IsReadAndWritten) {
  const auto address = SocketAddress::parse(GetParam().text);
  ASSERT_EQ(address.has_value(), GetParam().expect != nullptr) << GetParam().name;
  EXPECT_EQ(address ? address->text() : "", GetParam().expect ? GetParam().expect : "")
      << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, SocketAddressText, testing::ValuesIn(socket_cases));

TEST(SocketAddress, TheLongestTextFits) {
  const auto longest = SocketAddress::parse("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
  ASSERT_TRUE(longest);
  EXPECT_LE(longest->text().size(), SocketAddress::text_max);
  EXPECT_EQ(SocketAddress().text(), "-");
}

TEST(SocketAddress, PassesThroughTheKernelsForm) {
  for (const char* text : {"192.0.2.1:8080", "[2001:db8::1]:8080"}) {
    const auto address = *SocketAddress::parse(text);
    sockaddr_storage storage;
    const socklen_t size = address.fill(storage);
    EXPECT_EQ(size, address.ip().is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    EXPECT_EQ(SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage)), address) << text;
  }
  sockaddr local{};
  local.sa_family = AF_UNIX;
  EXPECT_FALSE(SocketAddress::from(&local).is_set());
}

struct UnixCase {
  const char* name;
  std::string path;
  bool accepted = true;
};
const UnixCase unix_cases[] = {
    {"a file", "/run/x.sock"},
    {"a name of the abstract namespace", "@x"},
    {"the longest path", "/" + std::string(106, 'x')},
    {"a path too long for sun_path", "/" + std::string(107, 'x'), false},
    {"a relative path", "run/x.sock", false},
    {"the root", "/", false},
    {"an abstract name without a name", "@", false},
    {"a NUL, where the kernel would stop", std::string("/run\0x", 6), false},
    {"nothing", "", false},
};
TEST(UnixSocket, HasAPathThatTheKernelTakes) {
  for (const auto& c : unix_cases) {
    const auto address = SocketAddress::unix_socket(c.path);
    ASSERT_EQ(address.has_value(), c.accepted) << c.name;
    if (!address) continue;
    EXPECT_TRUE(address->is_set() && address->is_unix()) << c.name;
    EXPECT_FALSE(address->ip().is_set()) << c.name;
    EXPECT_EQ(address->path(), c.path) << c.name;
    EXPECT_EQ(address->text(), c.path) << c.name;
    EXPECT_LE(address->text().size(), SocketAddress::text_max) << c.name;
  }
}

TEST(UnixSocket, IsFilledInAsTheKernelWantsIt) {
  sockaddr_storage storage;
  const auto& un = reinterpret_cast<const sockaddr_un&>(storage);
  EXPECT_EQ(SocketAddress::unix_socket("/run/x")->fill(storage),
            offsetof(sockaddr_un, sun_path) + sizeof "/run/x");
  EXPECT_EQ(un.sun_family, AF_UNIX);
  EXPECT_STREQ(un.sun_path, "/run/x");
  // unix(7): every byte counts, so none more than the name.
  EXPECT_EQ(SocketAddress::unix_socket("@xy")->fill(storage), offsetof(sockaddr_un, sun_path) + 3);
  EXPECT_EQ(std::string(un.sun_path, 3), std::string("\0xy", 3));
}

TEST(UnixSocket, EqualsTheOneOfTheSamePath) {
  const auto a = *SocketAddress::unix_socket("/run/a"), b = *SocketAddress::unix_socket("/run/b");
  EXPECT_EQ(a, *SocketAddress::unix_socket(std::string("/run/") + "a"));
  EXPECT_NE(a, b);
  EXPECT_NE(a, SocketAddress());
  std::unordered_set<SocketAddress, AddressHash> seen{a, b, *SocketAddress::unix_socket("/run/a")};
  EXPECT_EQ(seen.size(), 2u);
}

// In a process of its own: the table is the whole process's, and nothing leaves it.
TEST(UnixSocketDeathTest, NoMoreAreKeptThanTheLimitSays) {
  const auto fill = [] {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < limits::unix_sockets + 9; i++) {
      kept += SocketAddress::unix_socket("/n/" + std::to_string(i)).has_value();
    }
    const bool known = SocketAddress::unix_socket("/n/0").has_value();
    _exit(known && kept > limits::unix_sockets - 100 && kept <= limits::unix_sockets ? 0 : 1);
  };
  EXPECT_EXIT(fill(), testing::ExitedWithCode(0), "");
}

TEST(UnixSocket, WithOddBytesBreaksNoLine) {
  EXPECT_EQ(SocketAddress::unix_socket("/a\nb\"c\\d")->text(), "/a_b_c_d");
  EXPECT_EQ(SocketAddress::unix_socket("/a\nb")->path(), "/a\nb");
}

struct CidrCase {
  const char* name;
  const char* block;
  const char* written;  // null: refused
  const char* inside;
  const char* outside;
};
const CidrCase cidr_cases[] = {
    {"host bits are cleared", "10.1.2.3/8", "10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
    {"a prefix inside a byte", "172.16.0.0/12", "172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
    {"a lone address is a block of one", "192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.6"},
    {"IPv6", "2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"},
    {"a lone IPv6 address", "2001:db8::1", "2001:db8::1/128", "2001:db8::1", "2001:db8::2"},
    {"everything of one family only", "0.0.0.0/0", "0.0.0.0/0", "203.0.113.1", "::1"},
    {"everything IPv6", "::/0", "::/0", "2001:db8::1", "10.0.0.1"},
    {"mapped IPv4 whose prefix would mean something else", "::ffff:10.0.0.0/104", nullptr, "", ""},
    {"a prefix too long", "10.0.0.0/33", nullptr, "", ""},
    {"no prefix after the slash", "10.0.0.0/", nullptr, "", ""},
    {"a negative prefix", "10.0.0.0/-1", nullptr, "", ""},
    {"no address", "/8", nullptr, "", ""},
};
class CidrBlock : public testing::TestWithParam<CidrCase> {};
TEST_P(CidrBlock, HoldsWhatItsPrefixSays) {
  const CidrCase& c = GetParam();
  const auto block = Cidr::parse(c.block);
  ASSERT_EQ(block.has_value(), c.written != nullptr) << c.name;
  if (!block) return;
  EXPECT_EQ(block->text(), c.written) << c.name;
  EXPECT_TRUE(block->contains(*IpAddress::parse(c.inside))) << c.name;
  EXPECT_FALSE(block->contains(*IpAddress::parse(c.outside))) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, CidrBlock, testing::ValuesIn(cidr_cases));

TEST(Cidr, IsSingleWhenItHoldsOneAddress) {
  EXPECT_TRUE(Cidr::parse("10.0.0.1")->is_single());
  EXPECT_TRUE(Cidr::parse("::1/128")->is_single());
  EXPECT_FALSE(Cidr::parse("10.0.0.0/31")->is_single());
  EXPECT_FALSE(Cidr::parse("2001:db8::/32")->is_single());
}

TEST(AddressHash, SpreadsNeighboursOverBuckets) {
  // 4,096 addresses of one block into 4,096 buckets: a hash at random fills about 63 % of them.
  std::set<std::size_t> buckets;
  for (uint32_t i = 0; i < 4096; i++) {
    buckets.insert(AddressHash()(SocketAddress(IpAddress::v4(0x0a000000 + i), 80)) % 4096);
  }
  EXPECT_GT(buckets.size(), 2200u);
}

TEST(AddressHash, TellsPortsAndFamiliesApart) {
  std::unordered_set<SocketAddress, AddressHash> seen;
  for (uint16_t port = 1; port <= 1000; port++) seen.insert({IpAddress::v4(0x7f000001), port});
  seen.insert({*IpAddress::parse("::1"), 1});
  EXPECT_EQ(seen.size(), 1001u);
  EXPECT_TRUE(seen.contains(*SocketAddress::parse("127.0.0.1:500")));
}

}  // namespace
}  // namespace sallyport
