// What of resolv.conf the DNS proxy and `init` go by.
#include "dns/resolv_conf.h"

#include <gtest/gtest.h>

namespace sallyport::dns {
namespace {

std::vector<std::string> servers_of(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& server : parse_resolv_conf(text).servers) out.push_back(server.text());
  return out;
}
std::vector<std::string> search_of(std::string_view text) { return parse_resolv_conf(text).search; }

TEST(ResolvConf, OfAPod) {
  const auto conf = parse_resolv_conf(
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "nameserver 10.96.0.10\n"
      "nameserver fd00::a\n"
      "options ndots:5\n");
  EXPECT_EQ(conf.servers, (std::vector<SocketAddress>{*SocketAddress::parse("10.96.0.10:53"),
                                                      *SocketAddress::parse("[fd00::a]:53")}));
  EXPECT_EQ(conf.search, (std::vector<std::string>{"default.svc.cluster.local", "svc.cluster.local",
                                                   "cluster.local"}));
}

TEST(ResolvConf, CommentsAndWhatCannotBeReadAreSkipped) {
  EXPECT_EQ(servers_of("# nameserver 1.1.1.1\n;nameserver 2.2.2.2\n nameserver\t3.3.3.3 # third\n"
                       "nameserver\nnameserver example.com\nnameserver 4.4.4.4"),
            (std::vector<std::string>{"3.3.3.3:53", "4.4.4.4:53"}));
  EXPECT_TRUE(servers_of("").empty());
}

TEST(ResolvConf, TheLastOfSearchAndDomainCounts) {
  EXPECT_EQ(search_of("search a b\ndomain C.\n"), std::vector<std::string>{"c"});
  EXPECT_EQ(search_of("domain c\nsearch A. b\n"), (std::vector<std::string>{"a", "b"}));
}

TEST(ResolvConf, AFileThatCannotBeReadIsNamed) {
  const auto conf = read_resolv_conf("/nowhere/resolv.conf");
  ASSERT_FALSE(conf);
  EXPECT_EQ(conf.error().context, "/nowhere/resolv.conf: No such file or directory");
}

}  // namespace
}  // namespace sallyport::dns
