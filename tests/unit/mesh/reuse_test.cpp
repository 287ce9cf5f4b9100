// One changed resource leaves the rest as it was (architecture.md): the same objects in both
// snapshots.
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

World three_entries() {
  World world;
  world.add(entry({"a.example", "default", "DNS", {"80 HTTP", "443 TLS"}}))
      .add(entry({"b.example", "default", "DNS", {"80 HTTP", "443 TLS"}}))
      .add(entry({"db.example", "default", "DNS", {"5432 TCP"}, "  addresses: [192.0.2.1]\n"}))
      .add(service("web", "default", "198.18.0.9", {"6000 detected"}))
      .add(rule({"b.example"}))
      .compile();
  return world;
}

TEST(Recompiling, TheSameResourcesKeepsEveryObject) {
  auto world = three_entries();
  const auto before = world.compiled.snapshot;
  // Read again from the files: equal content at other addresses.
  auto again = three_entries();
  world.input.resources = again.input.resources;
  world.compile();
  const auto& after = world.snapshot();
  EXPECT_EQ(after.version, before->version + 1);
  for (const auto& [name, cluster] : before->clusters)
    EXPECT_EQ(after.clusters.at(name), cluster) << name;
  for (const auto& [port, listener] : before->by_port)
    EXPECT_EQ(after.by_port.at(port), listener) << port;
  for (const auto& [address, listener] : before->by_address)
    EXPECT_EQ(after.by_address.at(address), listener);
  EXPECT_EQ(after.catch_all, before->catch_all);
  EXPECT_EQ(after.unlisted, before->unlisted);
  EXPECT_EQ(after.clusters.size(), before->clusters.size());
}

TEST(Recompiling, AfterOneChangeRenewsOnlyWhatItTouches) {
  auto world = three_entries();
  const auto before = world.compiled.snapshot;
  world.input.resources.pop_back();
  world.add(rule({"b.example", "rule", "default", "tls: {mode: SIMPLE, sni: other}"})).compile();
  const auto& after = world.snapshot();
  EXPECT_NE(after.clusters.at("outbound|80||b.example"),
            before->clusters.at("outbound|80||b.example"));
  EXPECT_EQ(after.clusters.at("outbound|80||a.example"),
            before->clusters.at("outbound|80||a.example"));
  EXPECT_EQ(after.by_address.at(at("192.0.2.1:5432")), before->by_address.at(at("192.0.2.1:5432")));
  const auto& old_hosts = before->by_port.at(80)->http->hosts;
  const auto& new_hosts = after.by_port.at(80)->http->hosts;
  EXPECT_EQ(*old_hosts.find("a.example"), *new_hosts.find("a.example"));
  EXPECT_NE(*old_hosts.find("b.example"), *new_hosts.find("b.example"));
}

TEST(Compiling, IsDeterministic) {
  const auto names = [](const Snapshot& snapshot) {
    std::map<std::string, std::string> out;
    for (const auto& [name, cluster] : snapshot.clusters)
      out[name] = cluster->rule ? cluster->rule->text() : "";
    return out;
  };
  const auto one = three_entries(), two = three_entries();
  EXPECT_EQ(names(one.snapshot()), names(two.snapshot()));
  EXPECT_EQ(one.findings(), two.findings());
  EXPECT_EQ(one.compiled.secret_names, two.compiled.secret_names);
}

TEST(Compiling, NothingGivesAWholeSnapshot) {
  World world;
  world.compile();
  EXPECT_EQ(world.bytes("203.0.113.1:80").cluster, "PassthroughCluster");
  EXPECT_EQ(world.request("203.0.113.1:80", "a.example").route, "allow_any");
  EXPECT_EQ(world.compiled.findings.size(), 0u);
}

TEST(Findings, OfOneFieldAreOneLine) {
  World world;
  for (const char* host : {"a.example", "b.example", "c.example"})
    world.add(entry({host, "default", "DNS", {"443 TLS"}}));
  world.add(rule({"*.example"})).compile();
  EXPECT_EQ(world.compiled.findings.size(), 1u) << world.findings();
  EXPECT_NE(world.findings().find("(and 2 more like it)"), std::string::npos) << world.findings();
}

}  // namespace
}  // namespace sallyport::mesh
