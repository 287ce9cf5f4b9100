// Which names the mesh answers itself, and with what: the cases of istio-agent's own tests
// (istio/istio:pkg/dns/client/dns_test.go, pkg/dns/server/name_table_test.go).
#include "agent/mesh/name_table.h"

#include <gtest/gtest.h>

#include "tests/support/allocations.h"
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

constexpr std::string_view search = "ns1.svc.cluster.local";

// "cname 1.1.1.1 ::1", or "not the mesh's".
std::string told(const NameTable& table, std::string_view name,
                 std::string_view search_domain = search) {
  NameRoom room;
  const auto found = find_name(table, name, search_domain, room);
  if (!found) return "not the mesh's";
  std::string out(found->cname);
  for (const auto* list : {&found->v4, &found->v6})
    for (const auto& ip : *list) out += (out.empty() ? "" : " ") + ip.text();
  return out;
}

// As the name table that istiod would send.
class Lookup : public testing::Test {
protected:
  static NameTable::Host external(std::vector<std::string> addresses) {
    NameTable::Host host;
    for (const auto& text : addresses) {
      const auto ip = *IpAddress::parse(text);
      (ip.is_v4() ? host.v4 : host.v6).push_back(ip);
    }
    return host;
  }
  static NameTable::Host service(const std::string& name, const std::string& namespace_name,
                                 std::vector<std::string> addresses) {
    auto host = external(std::move(addresses));
    host.kubernetes = true;
    host.short_name = name;
    host.namespace_name = namespace_name;
    return host;
  }
  const NameTable table_{
      {{"www.google.com", external({"1.1.1.1"})},
       {"productpage.ns1.svc.cluster.local", service("productpage", "ns1", {"9.9.9.9"})},
       {"example.ns2.svc.cluster.local", service("example", "ns2", {"10.10.10.10"})},
       {"details.ns2.svc.cluster.remote",
        service("details", "ns2", {"11.11.11.11", "12.12.12.12"})},
       {"ipv6.localhost", external({"2001:db8::1"})},
       {"dual.localhost", external({"2.2.2.2", "2001:db8::2"})},
       {"*.wildcard", external({"10.10.10.10"})},
       {"*.b.wildcard", external({"11.11.11.11"})},
       {"*.svc.mesh.company.net", service("*.svc.mesh.company.net", "", {"10.1.2.3"})}},
      "ns1",
      "svc.cluster.local"};
};

struct LookupCase {
  const char *name, *told;
};
constexpr LookupCase lookups[] = {
    {"www.google.com", "1.1.1.1"},
    {"www.google.com.ns1.svc.cluster.local", "www.google.com 1.1.1.1"},
    {"www.bing.com", "not the mesh's"},
    {"productpage.ns1.svc.cluster.local", "9.9.9.9"},
    {"productpage.ns1.svc.cluster.local.ns1.svc.cluster.local", "not the mesh's"},
    {"productpage.ns1", "9.9.9.9"},
    {"productpage.ns1.svc", "9.9.9.9"},
    {"productpage", "9.9.9.9"},
    {"productpage.ns1.ns1.svc.cluster.local", "productpage.ns1 9.9.9.9"},
    {"example.ns2", "10.10.10.10"},
    {"example.ns2.svc", "10.10.10.10"},
    {"example.ns2.svc.cluster.local", "10.10.10.10"},
    {"example", "not the mesh's"},
    {"details.ns2.svc.cluster.remote", "11.11.11.11 12.12.12.12"},
    {"details.ns2", "not the mesh's"},
    {"ipv6.localhost", "2001:db8::1"},
    {"dual.localhost", "2.2.2.2 2001:db8::2"},
    {"foo.wildcard", "10.10.10.10"},
    {"wildcard", "not the mesh's"},
    {"a.b.wildcard", "11.11.11.11"},
    {"a.a.b.wildcard", "11.11.11.11"},
    {"foo.wildcard.ns1.svc.cluster.local", "*.wildcard 10.10.10.10"},
    {"foo.svc.mesh.company.net", "10.1.2.3"},
    {"foo.foons.svc.mesh.company.net", "10.1.2.3"},
    {"foo.svc.mesh.company.net.ns1.svc.cluster.local", "*.svc.mesh.company.net 10.1.2.3"},
    {"", "not the mesh's"},
    {"ns1.svc.cluster.local", "not the mesh's"},
};

TEST_F(Lookup, IsIstios) {
  for (const auto& [name, expected] : lookups) EXPECT_EQ(told(table_, name), expected) << name;
}

// Where the name behind which the search domain stands is another host's, the alias counts: it was
// what the client asked for.
TEST_F(Lookup, AnAliasBeatsAnotherHostOfThatName) {
  const NameTable table(
      {{"a.com", external({"1.1.1.1"})}, {"a.com.ns1.svc.cluster.local", external({"2.2.2.2"})}},
      "ns1", "svc.cluster.local");
  EXPECT_EQ(told(table, "a.com.ns1.svc.cluster.local"), "a.com 1.1.1.1");
}

TEST_F(Lookup, OnlyAServiceHasShortNames) {
  auto host = external({"1.1.1.1"});
  host.short_name = "db-0.db";
  host.namespace_name = "ns1";
  const NameTable table({{"db-0.db.ns1.svc.cluster.local", host}}, "ns1", "svc.cluster.local");
  EXPECT_EQ(told(table, "db-0.db"), "not the mesh's");
  EXPECT_EQ(told(table, "db-0.db.ns1.svc.cluster.local"), "1.1.1.1");
}

TEST_F(Lookup, WithoutASearchListNothingIsAnAlias) {
  EXPECT_EQ(told(table_, "www.google.com", ""), "1.1.1.1");
  EXPECT_EQ(told(table_, "www.google.com.ns1.svc.cluster.local", ""), "not the mesh's");
}

TEST_F(Lookup, ANameThatIsTooLongIsNobodys) {
  const std::string name = std::string(300, 'a') + ".wildcard";
  EXPECT_EQ(told(table_, name), "not the mesh's");
}

TEST_F(Lookup, AllocatesNothing) {
  NameRoom room;
  const auto before = test::allocations;
  find_name(table_, "foo.svc.mesh.company.net.ns1.svc.cluster.local", search, room);
  find_name(table_, "a.b.c.d.www.bing.com", search, room);
  EXPECT_EQ(test::allocations, before);
}

// --- compiled ---

class Names : public testing::Test {
protected:
  Names() { world_.input.proxy.dns_capture = true; }
  std::string of(const std::string& name) {
    return told(*world_.compiled.snapshot->names, name, "default.svc.cluster.local");
  }
  World world_;
};

constexpr const char* service_of_pods = R"(
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: default, labels: {app: db}}
spec: {hostname: db-0, subdomain: db, containers: [{name: db}]}
status: {podIP: 198.18.0.7}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: default, labels: {app: db}}
spec: {hostname: db-1, subdomain: db, containers: [{name: db}]}
status: {podIP: 198.18.0.8, conditions: [{type: Ready, status: "False"}]}
---
)";

TEST_F(Names, OfServicesAndServiceEntries) {
  world_
      .add(
          "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: "
          "{clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n")
      .add(entry({.host = "named.test", .more = "  addresses: [10.1.2.3, 2001:db8::3]\n"}))
      .add(entry({.host = "block.test", .more = "  addresses: [10.2.0.0/16]\n"}))
      .add(entry({.host = "own.test"}))
      .compile();
  EXPECT_EQ(of("web.shop"), "10.0.0.1");
  EXPECT_EQ(of("web"), "not the mesh's") << "of another namespace";
  EXPECT_EQ(of("named.test"), "10.1.2.3 2001:db8::3");
  EXPECT_EQ(of("block.test"), "not the mesh's");
  EXPECT_TRUE(of("own.test").starts_with("240.240.")) << of("own.test");
}

TEST_F(Names, AHeadlessServiceIsItsReadyPodsWhichHaveNamesBelowIt) {
  world_.add(service_of_pods).compile();
  EXPECT_EQ(of("db"), "198.18.0.7");
  EXPECT_EQ(of("db-0.db.default.svc.cluster.local"), "198.18.0.7");
  EXPECT_EQ(of("db-0.db"), "198.18.0.7");
  EXPECT_EQ(of("db-0.db.default"), "198.18.0.7");
  EXPECT_EQ(of("db-1.db"), "not the mesh's");
}

TEST_F(Names, OfWhoPublishesTheUnreadyAllPodsAre) {
  std::string text = service_of_pods;
  text.insert(text.find("clusterIP"), "publishNotReadyAddresses: true, ");
  world_.add(text).compile();
  EXPECT_EQ(of("db"), "198.18.0.7 198.18.0.8");
  EXPECT_EQ(of("db-1.db"), "198.18.0.8");
}

// The slices' word counts: who is ready, and of several slices each pod once.
TEST_F(Names, OfSlicesTheReadyAreItOnce) {
  world_.add(service_of_pods);
  for (const char* port : {"5432", "5433"})
    world_.add("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: db-" +
               std::string(port) +
               ", namespace: default, labels: {kubernetes.io/service-name: db}}\naddressType: "
               "IPv4\nports: [{name: tcp, port: " +
               port +
               "}]\nendpoints:\n- {addresses: [198.18.0.8], targetRef: {kind: Pod, name: db-1}}\n- "
               "{addresses: [198.18.0.7], conditions: {ready: false}, targetRef: {kind: Pod, name: "
               "db-0}}\n- {addresses: [198.18.0.9]}\n");
  world_.compile();
  EXPECT_EQ(of("db"), "198.18.0.8 198.18.0.9");
  EXPECT_EQ(of("db-1.db"), "198.18.0.8");
  EXPECT_EQ(of("db-0.db"), "not the mesh's");
}

TEST_F(Names, AHeadlessServiceWithoutPortsIsTheClustersOwn) {
  std::string text = service_of_pods;
  const std::string ports = ", ports: [{name: tcp, port: 5432}]";
  text.erase(text.find(ports), ports.size());
  world_.add(text).compile();
  EXPECT_EQ(of("db"), "not the mesh's");
}

constexpr const char* workloads = R"(
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: one, namespace: default}
spec: {address: 198.18.0.21, labels: {wl: foobar}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: by-name, namespace: default}
spec: {address: vm.example.com, labels: {wl: foobar}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: default, labels: {wl: foobar}}
spec: {hostname: db-0, subdomain: db, containers: [{name: db}]}
status: {podIP: 198.18.0.22}
---
)";

TEST_F(Names, AServiceEntryThatResolvesNothingIsTheWorkloadsThatItSelects) {
  world_.add(workloads)
      .add(entry({.host = "foo.bar.com",
                  .resolution = "NONE",
                  .ports = {"9000 TCP"},
                  .more = "  workloadSelector: {labels: {wl: foobar}}\n"}))
      .add(entry({.host = "no.bar.com", .resolution = "NONE"}))
      .compile();
  EXPECT_EQ(of("foo.bar.com"), "198.18.0.21 198.18.0.22");
  EXPECT_EQ(of("db-0.db.bar.com"), "198.18.0.22");
  EXPECT_EQ(of("no.bar.com"), "not the mesh's") << "nobody is known who serves it";
}

TEST_F(Names, OfAServiceAreThoseOfTheProxysFamiliesAndOfAServiceEntryAll) {
  const std::string both =
      "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIPs: [10.0.0.1, "
      "'2001:db8::1'], ports: [{name: http, port: 80}]}\n---\n" +
      entry({.host = "named.test", .more = "  addresses: [10.1.2.3, 2001:db8::3]\n"}) +
      entry({.host = "own.test"});
  world_.input.proxy.addresses = {"2001:db8::5"};
  world_.add(both).compile();
  EXPECT_EQ(of("web"), "2001:db8::1");
  EXPECT_EQ(of("named.test"), "10.1.2.3 2001:db8::3");
  EXPECT_TRUE(of("own.test").starts_with("2001:2::f0f0:")) << of("own.test");
  world_.input.proxy.addresses = {"10.0.0.5", "2001:db8::5"};
  world_.new_mesh = true;
  world_.compile();
  EXPECT_EQ(of("web"), "10.0.0.1 2001:db8::1");
  EXPECT_TRUE(of("own.test").starts_with("240.240.")) << of("own.test");
  EXPECT_NE(of("own.test").find(" 2001:2::"), std::string::npos) << of("own.test");
}

TEST_F(Names, AServiceBeatsServiceEntriesWhichAddToEachOther) {
  world_.add(entry({.host = "web.default.svc.cluster.local", .more = "  addresses: [10.9.9.9]\n"}))
      .add(
          "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.0.0.1, "
          "ports: [{name: http, port: 80}]}\n")
      .add(entry({.host = "two.test", .ports = {"80 HTTP"}, .more = "  addresses: [10.1.1.1]\n"}))
      .add(entry({.host = "two.test", .ports = {"81 HTTP"}, .more = "  addresses: [10.1.1.2]\n"}))
      .compile();
  EXPECT_EQ(of("web"), "10.0.0.1");
  EXPECT_EQ(of("two.test"), "10.1.1.1 10.1.1.2");
}

TEST_F(Names, WhatTheProxyDoesNotSeeItsApplicationDoesNotResolve) {
  world_.add(entry({.host = "a.test", .name_space = "other", .more = "  exportTo: ['.']\n"}))
      .add(entry({.host = "b.test", .name_space = "other"}))
      .add(
          "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: "
          "default}\nspec: {egress: [{hosts: ['other/c.test']}]}\n")
      .add(entry({.host = "c.test", .name_space = "other"}))
      .compile();
  EXPECT_EQ(of("a.test"), "not the mesh's");
  EXPECT_EQ(of("b.test"), "not the mesh's");
  EXPECT_TRUE(of("c.test").starts_with("240.240.")) << of("c.test");
}

TEST_F(Names, AreNoneWithoutCaptureAndStayTheSameObjectWhereNothingChanged) {
  world_.add(entry({.host = "a.test"})).compile();
  const auto before = world_.compiled.snapshot->names;
  ASSERT_TRUE(before);
  world_.compile();
  EXPECT_EQ(world_.compiled.snapshot->names, before);
  world_.add(entry({.host = "b.test"})).compile();
  EXPECT_NE(world_.compiled.snapshot->names, before);
  World other;
  other.add(entry({.host = "a.test"})).compile();
  EXPECT_FALSE(other.compiled.snapshot->names);
}

TEST_F(Names, AreShownAsIstioAgentShowsThem) {
  world_
      .add(
          "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: "
          "{clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n")
      .add(entry({.host = "named.test", .more = "  addresses: [10.1.2.3, 10.1.2.4]\n"}))
      .compile();
  EXPECT_EQ(names_as_json(*world_.compiled.snapshot->names),
            R"({"table":{"named.test":{"ips":["10.1.2.3","10.1.2.4"],"registry":"External"},)"
            R"("web.shop.svc.cluster.local":{"ips":["10.0.0.1"],"registry":"Kubernetes",)"
            R"("shortname":"web","namespace":"shop"}}})");
}

}  // namespace
}  // namespace sallyport::mesh
