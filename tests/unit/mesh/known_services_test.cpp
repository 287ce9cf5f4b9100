// Which services a proxy sees, and which counts where two tell of one host (istio-api.md 2.1
// to 2.4).
#include "agent/mesh/known_services.h"

#include "agent/mesh/host_names.h"
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

struct VisibleCase {
  const char* rule;
  std::vector<std::string> export_to, mesh_default;
  const char* from;
  bool seen;  // by namespace "default"
};
void PrintTo(const VisibleCase& c, std::ostream* out) { *out << c.rule; }
class Visibility : public testing::TestWithParam<VisibleCase> {};
TEST_P(Visibility, Is) {
  const auto& c = GetParam();
  EXPECT_EQ(exported(c.export_to, c.mesh_default, c.from, "default"), c.seen) << c.rule;
}
INSTANTIATE_TEST_SUITE_P(
    Spec, Visibility,
    testing::Values(VisibleCase{"absent: everyone", {}, {}, "shop", true},
                    VisibleCase{"absent: the mesh's default", {}, {"."}, "shop", false},
                    VisibleCase{"given: the default does not count", {"*"}, {"."}, "shop", true},
                    VisibleCase{".: own namespace", {"."}, {}, "default", true},
                    VisibleCase{".: nobody else", {"."}, {}, "shop", false},
                    VisibleCase{"~: nobody", {"~"}, {}, "default", false},
                    VisibleCase{"by name", {"web", "default"}, {}, "shop", true},
                    VisibleCase{"by another name", {"web"}, {}, "default", false}));

TEST(Services, ThatAreNotExportedAreUnknown) {
  World world;
  world.add(entry({"a.example", "shop", "DNS", {"80 HTTP"}, "  exportTo: ['.']\n"}))
      .add(
          "kind: Service\napiVersion: v1\nmetadata: {name: web, namespace: shop, annotations: "
          "{networking.istio.io/exportTo: '., web'}}\nspec: {clusterIP: 198.18.0.9, ports: [{port: "
          "80, name: http}]}\n")
      .compile();
  EXPECT_FALSE(world.cluster("outbound|80||a.example"));
  EXPECT_FALSE(world.cluster("outbound|80||web.shop.svc.cluster.local"));
}

// 2.2: one host told twice.
TEST(OneHost, OfTwoNamespacesIsTheProxysOwn) {
  World world;
  world.add(entry({"a.example", "shop", "DNS", {"80 HTTP 1"}}))
      .add(entry({"a.example", "default", "DNS", {"80 HTTP 2"}}));
  EXPECT_EQ(world.compile().cluster("outbound|80||a.example")->endpoints[0].port, 2);
}
TEST(OneHost, OfTwoOtherNamespacesIsTheOldest) {
  World world;
  world.add(entry({"a.example", "shop", "DNS", {"80 HTTP 1"}}))
      .add(entry({"a.example", "web", "DNS", {"80 HTTP 2", "81 HTTP"}}));
  EXPECT_EQ(world.compile().cluster("outbound|80||a.example")->endpoints[0].port, 1);
  EXPECT_FALSE(world.cluster("outbound|81||a.example"))
      << "the other namespace's ports do not count";
}
TEST(OneHost, OfOneNamespaceHasThePortsOfBoth) {
  World world;
  world.add(entry({"a.example", "default", "DNS", {"80 HTTP 1"}}))
      .add(entry({"a.example", "default", "DNS", {"80 HTTP 2", "81 HTTP"}}));
  EXPECT_EQ(world.compile().cluster("outbound|80||a.example")->endpoints[0].port, 1);
  EXPECT_TRUE(world.cluster("outbound|81||a.example"));
  EXPECT_NE(world.findings().find("port 80 of a.example is defined by an earlier resource"),
            std::string::npos);
}
TEST(OneHost, OfAServiceIsTheServicesAndAnEntryAddsNamesAndPorts) {
  World world;
  world
      .add(entry({"web.shop.svc.cluster.local",
                  "default",
                  "DNS",
                  {"80 HTTP 1", "81 HTTP"},
                  "  subjectAltNames: [x]\n"}))
      .add(service("web", "shop", "198.18.0.9", {"80 http"}))
      .add(rule({"web.shop.svc.cluster.local"}))
      .compile();
  const auto& cluster = *world.cluster("outbound|80||web.shop.svc.cluster.local");
  EXPECT_EQ(cluster.service->kind, "Service");
  EXPECT_EQ(cluster.tls.names, std::vector<std::string>{"x"});
  EXPECT_EQ(world.cluster("outbound|81||web.shop.svc.cluster.local")->service->kind,
            "ServiceEntry");
}

// 2.1: names under which a Service is reached.
struct NameCase {
  const char* host;
  bool same_namespace, other_namespace;
};
void PrintTo(const NameCase& c, std::ostream* out) { *out << c.host; }
class ServiceNames : public testing::TestWithParam<NameCase> {};
TEST_P(ServiceNames, AreKnown) {
  const auto& c = GetParam();
  const Answer found{"outbound|80||web.default.svc.cluster.local", "default"};
  World world;
  world.add(service("web", "default", "198.18.0.9", {"80 http"})).compile();
  EXPECT_EQ(world.http("203.0.113.1:80", c.host) == found, c.same_namespace) << c.host;
  world.input.proxy.namespace_name = "other";
  world.compile();
  EXPECT_EQ(world.http("203.0.113.1:80", c.host) == found, c.other_namespace) << c.host;
}
INSTANTIATE_TEST_SUITE_P(
    Spec, ServiceNames,
    testing::Values(NameCase{"web", true, false}, NameCase{"web.default", true, true},
                    NameCase{"web.default.svc", true, true},
                    NameCase{"web.default.svc.cluster.local", true, true},
                    NameCase{"web.default.svc.cluster.local:80", true, true},
                    NameCase{"198.18.0.9", true, true}, NameCase{"web.other", false, false},
                    NameCase{"pod-0.web.default.svc.cluster.local", false, false}));

TEST(HeadlessService, IsReachedByItsPodsNamesToo) {
  World world;
  world.add(service("web", "default", "None", {"80 http"})).compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "pod-0.web.default.svc.cluster.local").cluster,
            "outbound|80||web.default.svc.cluster.local");
}

TEST(ShortName, NeverHidesAHostOfThatName) {
  World world;
  world.add(service("web", "shop", "198.18.0.9", {"80 http"})).add(entry({"web.shop"})).compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "web.shop").cluster, "outbound|80||web.shop");
}

// 2.4: what a Service's port speaks.
TEST(ServicePorts, FollowTheirNames) {
  World world;
  world
      .add(service("web", "default", "198.18.0.9",
                   {"80 http-web", "81 grpc", "443 https", "9000 tcp-db", "3306 db", "6000 other",
                    "53 udp-dns"}))
      .compile();
  const auto& snapshot = world.snapshot();
  EXPECT_TRUE(snapshot.by_port.at(80)->declared_http);
  EXPECT_TRUE(snapshot.by_port.at(81)->declared_http);
  EXPECT_TRUE(snapshot.by_address.at(at("198.18.0.9:443"))->declared_tls);
  EXPECT_TRUE(snapshot.by_address.at(at("198.18.0.9:9000"))->declared_tcp);
  EXPECT_TRUE(snapshot.by_address.at(at("198.18.0.9:3306"))->declared_tcp)
      << "known to be server-first";
  const auto& detected = *snapshot.by_address.at(at("198.18.0.9:6000"));
  EXPECT_FALSE(detected.declared_tcp || detected.declared_http || detected.declared_tls);
  EXPECT_EQ(detected.http->name, "web.default.svc.cluster.local:6000");
  EXPECT_FALSE(snapshot.by_address.contains(at("198.18.0.9:53")));
  EXPECT_FALSE(world.cluster("outbound|53||web.default.svc.cluster.local"))
      << "UDP is not captured";
}

struct KeyCase {
  std::string authority, key;
};
void PrintTo(const KeyCase& c, std::ostream* out) { *out << c.authority; }
class HostKey : public testing::TestWithParam<KeyCase> {};
TEST_P(HostKey, IsTheNameAlone) {
  HostRoom room;
  EXPECT_EQ(host_key(GetParam().authority, room), GetParam().key);
}
INSTANTIATE_TEST_SUITE_P(
    Spec, HostKey,
    testing::Values(KeyCase{"a.example", "a.example"}, KeyCase{"A.Example:8080", "a.example"},
                    KeyCase{"a.example.", "a.example"}, KeyCase{"a.example.:80", "a.example"},
                    KeyCase{"[2001:DB8::1]:80", "2001:db8::1"},
                    KeyCase{"[2001:db8::1]", "2001:db8::1"}, KeyCase{"2001:db8::1", "2001:db8::1"},
                    KeyCase{"192.0.2.1:80", "192.0.2.1"}, KeyCase{"", ""}, KeyCase{":80", ""},
                    KeyCase{std::string(257, 'a'), ""},
                    KeyCase{std::string(256, 'A'), std::string(256, 'a')}));

TEST(HostTable, TakesTheLongestWildcard) {
  HostTable<int> table;
  add_host(table, "*", 0);
  add_host(table, "*.example", 1);
  add_host(table, "*.a.example", 2);
  add_host(table, "x.a.example", 3);
  add_host(table, "*-eu.example", 4);
  EXPECT_FALSE(add_host(table, "*.example", 9)) << "the first one stays";
  const auto find = [&](std::string_view host) { return *table.find(host); };
  EXPECT_EQ(find("x.a.example"), 3);
  EXPECT_EQ(find("y.a.example"), 2);
  EXPECT_EQ(find("z.y.a.example"), 2);
  EXPECT_EQ(find("a.example"), 1);
  EXPECT_EQ(find("b-eu.example"), 4);
  EXPECT_EQ(find("example"), 0);
  EXPECT_EQ(table.find(""), nullptr);
}

}  // namespace
}  // namespace sallyport::mesh
