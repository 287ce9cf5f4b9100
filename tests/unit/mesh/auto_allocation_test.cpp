// Which addresses hosts without any are given. What is expected of single hosts are Istio's own
// figures (istio/istio:pilot/pkg/serviceregistry/serviceentry/controller_test.go).
#include "agent/mesh/auto_allocation.h"

#include <gtest/gtest.h>

#include <unordered_set>

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

using Texts = std::vector<std::string>;

std::string told(const std::string& host, const std::string& namespace_name,
                 const std::string& more = "resolution: DNS", const std::string& metadata = "",
                 const std::string& protocol = "TCP") {
  return "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e" +
         std::to_string(std::hash<std::string>()(host + more)) +
         (namespace_name.empty() ? "" : ", namespace: " + namespace_name) + metadata +
         "}\nspec:\n  hosts: [" + host +
         "]\n  ports: [{number: 9000, name: p, protocol: " + protocol + "}]\n  " + more + "\n";
}

class AutoAllocationTest : public testing::Test {
public:
  AutoAllocationTest& with(const std::string& yaml) {
    world_.add(yaml);
    return *this;
  }
  // As Istio's tests have them: of no namespace, which a document can't say.
  void with_plain(const std::vector<std::string>& hosts) {
    for (const auto& host : hosts) {
      istio::ServiceEntry entry;
      entry.metadata.ref = std::make_shared<const ResourceRef>();
      entry.hosts = {host};
      entry.resolution = istio::Resolution::static_;
      world_.input.resources.push_back(std::make_shared<const istio::Resource>(std::move(entry)));
    }
  }
  static const istio::ServiceEntry& entry_of(const istio::Resource& resource) {
    return std::get<istio::ServiceEntry>(resource);
  }
  Texts texts(const AutoAllocation& all, const istio::ServiceEntry& entry,
              const std::string& host = "") const {
    Texts out;
    for (const auto& ip : all.of(entry, host.empty() ? entry.hosts[0] : host, proxy_))
      out.push_back(ip.text());
    return out;
  }
  // Of the last entry's first host, or those given.
  Texts of(std::size_t index = SIZE_MAX, const std::string& host = "") {
    const AutoAllocation all(world_.input.resources, findings_);
    const auto& resources = world_.input.resources;
    return texts(all, entry_of(*resources.at(std::min(index, resources.size() - 1))), host);
  }
  World world_;
  istio::Proxy proxy_;
  std::vector<istio::Finding> findings_;
};

struct Known {
  const char *host, *namespace_name, *v4, *v6;
};
constexpr Known known[] = {
    {"a.example.com", "a", "240.240.134.206", "2001:2::f0f0:86ce"},
    {"a.example.com", "b", "240.240.41.100", "2001:2::f0f0:2964"},
};

TEST_F(AutoAllocationTest, TheyAreIstios) {
  for (const auto& one : known) {
    EXPECT_EQ(with(told(one.host, one.namespace_name)).of(), (Texts{one.v4, one.v6})) << one.host;
  }
  with_plain({"foo.com"});
  EXPECT_EQ(of(), (Texts{"240.240.227.81", "2001:2::f0f0:e351"}));
}

TEST_F(AutoAllocationTest, OfTwoWhoseHashesMeetTheLaterMoves) {
  with_plain({"a17061.example.com", "a44155.example.com"});
  EXPECT_EQ(of(0), (Texts{"240.240.25.11", "2001:2::f0f0:19b"}));
  EXPECT_EQ(of(1), (Texts{"240.240.31.17", "2001:2::f0f0:1f11"}));
}

struct Stable {
  const char *host, *v4;
};
constexpr Stable stable[] = {
    {"a.com", "240.240.109.8"},  {"c.com", "240.240.234.51"}, {"e.com", "240.240.85.60"},
    {"g.com", "240.240.23.172"}, {"i.com", "240.240.15.2"},   {"k.com", "240.240.160.161"},
    {"l.com", "240.240.42.96"},  {"n.com", "240.240.121.61"}, {"o.com", "240.240.122.71"},
};

TEST_F(AutoAllocationTest, OthersBesideAndTheSameTwiceDoNotMoveThem) {
  for (const auto& one : stable) with_plain({one.host});
  for (const auto* others : {"", "bdfhjmpqr", "i"}) {
    for (const char* at = others; *at; at++) with_plain({std::string(1, *at) + ".com"});
    for (std::size_t i = 0; i < std::size(stable); i++)
      EXPECT_EQ(of(i).at(0), stable[i].v4) << stable[i].host << " beside " << others;
  }
  EXPECT_EQ(of().at(0), "240.240.15.2") << "i.com, told twice";
}

// Whose own would be 240.240.0.255: all behind it move on by one.
TEST_F(AutoAllocationTest, NoneEndsIn255) {
  with_plain({"foo.com", "a14704.example.com"});
  EXPECT_EQ(of(0).at(0), "240.240.227.82");
  EXPECT_EQ(of(1), (Texts{"240.240.1.1", "2001:2::f0f0:11"}));
}

// Istio's text of both is 2001:2::f0f0:123.
TEST_F(AutoAllocationTest, NoTwoHaveOneAddressOfIPv6) {
  with_plain({"a80542.example.com", "a4855.example.com"});
  EXPECT_EQ(of(0), (Texts{"240.240.1.35", "2001:2::f0f0:123"}));
  EXPECT_EQ(of(1), (Texts{"240.240.18.3", "2001:2::f0f1:1203"}));
}

TEST_F(AutoAllocationTest, TheHostsCaseDoesNotMatter) {
  EXPECT_EQ(with(told("A.Example.COM", "a")).of(), (Texts{known[0].v4, known[0].v6}));
}

TEST_F(AutoAllocationTest, EachHostOfAnEntryHasItsOwn) {
  with(told("one.com, two.com, \"*.three.com\"", "a",
            "resolution: STATIC\n  endpoints: [{address: 192.0.2.1}]", "", "HTTP"));
  EXPECT_EQ(of(0, "one.com").size(), 2u);
  EXPECT_EQ(of(0, "two.com").size(), 2u);
  EXPECT_NE(of(0, "one.com"), of(0, "two.com"));
  EXPECT_EQ(of(0, "*.three.com"), Texts()) << "a wildcard stands for many";
}

// As many as Istio's own test has; its last one has this address there, too.
TEST_F(AutoAllocationTest, AllOfThemAreOfOneHostInBothFamiliesAndOneMoreHasNone) {
  constexpr std::size_t all_there_are = 256 * 254;
  for (std::size_t i = 0; i <= all_there_are + 1; i++)
    with_plain({"foo" + std::to_string(i) + ".com"});
  const AutoAllocation allocation(world_.input.resources, findings_);
  const Cidr v4 = *Cidr::parse("240.240.0.0/16"), v6 = *Cidr::parse("2001:2::/48");
  std::unordered_set<IpAddress, AddressHash> seen;
  for (std::size_t i = 0; i < all_there_are; i++) {
    const auto& one = entry_of(*world_.input.resources[i]);
    const auto addresses = allocation.of(one, one.hosts[0], proxy_);
    ASSERT_EQ(addresses.size(), 2u) << one.hosts[0];
    ASSERT_TRUE(v4.contains(addresses[0])) << addresses[0].text();
    ASSERT_TRUE(v6.contains(addresses[1])) << addresses[1].text();
    ASSERT_NE(addresses[0].bytes()[3], 0);
    ASSERT_NE(addresses[0].bytes()[3], 255);
    for (const auto& ip : addresses) ASSERT_TRUE(seen.insert(ip).second) << ip.text();
  }
  const auto texts_of = [&](std::size_t i) {
    return texts(allocation, entry_of(*world_.input.resources[i]));
  };
  EXPECT_EQ(texts_of(all_there_are - 1).at(0), "240.240.10.222");
  EXPECT_EQ(texts_of(all_there_are), Texts());
  EXPECT_EQ(texts_of(all_there_are + 1), Texts());
  ASSERT_EQ(findings_.size(), 1u);
  EXPECT_EQ(findings_[0].reason,
            "no addresses of their own are left for foo65024.com and 1 other hosts: 65024 hosts "
            "have them");
}

TEST_F(AutoAllocationTest, OnlyWhoNamesNoneAndCanBeReachedByItHasOne) {
  EXPECT_TRUE(with(told("a.test", "a", "resolution: NONE")).of().empty());
  EXPECT_TRUE(with(told("b.test", "a", "addresses: [10.0.0.1]\n  resolution: DNS")).of().empty());
  EXPECT_TRUE(with(told("\"*.test\"", "a", "resolution: DYNAMIC_DNS")).of().empty());
  EXPECT_TRUE(with(told("c.test", "a", "resolution: DNS",
                        ", labels: {networking.istio.io/enable-autoallocate-ip: \"False\"}"))
                  .of()
                  .empty());
  EXPECT_EQ(with(told("d.test", "a", "resolution: DNS",
                      ", labels: {networking.istio.io/enable-autoallocate-ip: \"true\"}"))
                .of()
                .size(),
            2u);
}

std::string status(const std::string& host, const Texts& addresses) {
  std::string out = "status:\n  addresses:\n";
  for (const auto& one : addresses) out += "  - {value: '" + one + "', host: " + host + "}\n";
  return out;
}

TEST_F(AutoAllocationTest, WhatAControllerWroteIntoTheStatusCounts) {
  with(told("a.example.com", "a") + status("a.example.com", {"240.240.1.7", "2001:2::107"}));
  EXPECT_EQ(of(), (Texts{"240.240.1.7", "2001:2::107"}));
  with(told("b.example.com", "a") + status("other.example.com", {"240.240.1.8"}));
  EXPECT_EQ(of().size(), 2u);
  EXPECT_NE(of().at(0), "240.240.1.8") << "another host's";
  with(told("c.example.com", "a", "resolution: NONE") + status("c.example.com", {"240.240.1.9"}));
  EXPECT_EQ(of(), Texts()) << "is not to have one any more";
}

TEST_F(AutoAllocationTest, WhatAStatusGivesOneHostNoOtherHas) {
  with(told("a.example.com", "a"));
  with(told("b.example.com", "a") + status("b.example.com", {known[0].v4, known[0].v6}));
  EXPECT_EQ(of(1), (Texts{known[0].v4, known[0].v6}));
  EXPECT_EQ(of(0), (Texts{"240.240.255.254", "2001:2::f0f1:86ce"}));
}

TEST_F(AutoAllocationTest, WhatAnAuthorWroteIsNobodyElses) {
  const std::string its_own = known[0].v4;
  with(told("other.test", "b", "addresses: [" + its_own + "]\n  resolution: DNS"));
  const auto addresses = with(told(known[0].host, known[0].namespace_name)).of();
  ASSERT_EQ(addresses.size(), 2u);
  EXPECT_NE(addresses[0], its_own);
  EXPECT_EQ(addresses[1], known[0].v6);
}

TEST_F(AutoAllocationTest, AProxyGetsThoseOfItsFamilies) {
  with(told("a.example.com", "a"));
  proxy_.addresses = {"10.0.0.1"};
  EXPECT_EQ(of(), Texts{known[0].v4});
  proxy_.addresses = {"2001:db8::1"};
  EXPECT_EQ(of(), Texts{known[0].v6});
  proxy_.addresses = {"10.0.0.1", "2001:db8::1"};
  EXPECT_EQ(of(), (Texts{known[0].v4, known[0].v6}));
}

// --- what they are for ---

class Captured : public testing::Test {
protected:
  Captured() {
    world_.input.proxy.dns_capture = true;
    world_.registry_only();
  }
  std::string address(const std::string& host) {
    std::vector<istio::Finding> findings;
    const AutoAllocation all(world_.input.resources, findings);
    for (const auto& resource : world_.input.resources) {
      const auto* one = std::get_if<istio::ServiceEntry>(resource.get());
      if (one && one->hosts[0] == host) return all.of(*one, host, world_.input.proxy).at(0).text();
    }
    return "none";
  }
  World world_;
};

TEST_F(Captured, TwoTcpServicesOfOnePortAreToldApart) {
  world_.add(told("one.test", "a") + told("two.test", "a")).compile();
  EXPECT_EQ(world_.bytes(address("one.test") + ":9000").cluster, "outbound|9000||one.test");
  EXPECT_EQ(world_.bytes(address("two.test") + ":9000").cluster, "outbound|9000||two.test");
  EXPECT_EQ(world_.bytes("198.51.100.1:9000").cluster, "BlackHoleCluster")
      << "the port is nobody's beside them";
}

TEST_F(Captured, WithoutCaptureTheFirstHasThePort) {
  world_.input.proxy.dns_capture = false;
  world_.add(told("one.test", "a") + told("two.test", "a")).compile();
  EXPECT_EQ(world_.bytes("198.51.100.1:9000").cluster, "outbound|9000||one.test");
}

TEST_F(Captured, AnAddressOfTheMeshsOwnIsNeverAnEndpoint) {
  world_.add(told("one.test", "a", "resolution: STATIC\n  endpoints: [{address: 192.0.2.1}]"))
      .compile();
  const auto& clusters = world_.compiled.snapshot->clusters;
  const auto& cluster = *clusters.at("outbound|9000||one.test");
  ASSERT_EQ(cluster.endpoints.size(), 1u);
  EXPECT_EQ(cluster.endpoints[0].ip.text(), "192.0.2.1");
}

// Istio's controller gives each entry its own addresses, and the name leads to all of them.
TEST_F(Captured, OfTwoEntriesOfAHostBothsAddressesHaveTheirPorts) {
  world_
      .add(told("a.test", "a") + status("a.test", {"240.240.1.7"}) +
           told("a.test", "a", "resolution: STATIC") + status("a.test", {"240.240.1.8"}))
      .compile();
  EXPECT_EQ(world_.bytes("240.240.1.7:9000").cluster, "outbound|9000||a.test");
  EXPECT_EQ(world_.bytes("240.240.1.8:9000").cluster, "outbound|9000||a.test");
}

TEST_F(Captured, WithAnAddressATcpPortIsNobodyElsesAndNobodySaysItIs) {
  world_.add(told("one.test", "a")).compile();
  EXPECT_EQ(world_.findings().find("IST0134"), std::string::npos) << world_.findings();
  world_.add(told("two.test", "a", "resolution: NONE")).compile();
  EXPECT_NE(world_.findings().find("IST0134"), std::string::npos) << "of NONE there is none";
}

TEST_F(Captured, AnAddressIsANameOfItsVirtualHost) {
  world_.add(told("one.test", "a", "resolution: DNS", "", "HTTP")).compile();
  const auto own = address("one.test");
  EXPECT_EQ(world_.http(own + ":9000", "one.test").cluster, "outbound|9000||one.test");
  EXPECT_EQ(world_.http(own + ":9000", own + ":9000").cluster, "outbound|9000||one.test");
}

// Where two hosts' hashes meet the later one moves when the first goes: its listener with it.
TEST_F(Captured, WhereAnAddressMovesItsListenerDoes) {
  const std::string first = "a119.example.com", second = "a902.example.com";
  world_.add(told(first, "default") + told(second, "default")).compile();
  EXPECT_EQ(address(first), "240.240.99.128");
  EXPECT_EQ(address(second), "240.240.131.194");
  EXPECT_EQ(world_.bytes("240.240.99.128:9000").cluster, "outbound|9000||" + first);
  EXPECT_EQ(world_.bytes("240.240.131.194:9000").cluster, "outbound|9000||" + second);
  world_.input.resources.erase(world_.input.resources.begin());
  world_.compile();
  EXPECT_EQ(world_.bytes("240.240.99.128:9000").cluster, "outbound|9000||" + second);
  EXPECT_EQ(world_.bytes("240.240.131.194:9000").cluster, "BlackHoleCluster");
}

}  // namespace
}  // namespace sallyport::mesh
