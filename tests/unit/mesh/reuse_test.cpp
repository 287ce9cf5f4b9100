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
  // Read again from the files: equal content at other addresses, under the same refs.
  for (auto& resource : world.input.resources)
    resource = std::make_shared<const istio::Resource>(*resource);
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

TEST(Recompiling, AfterAnEditInPlaceNamesTheRuleAsItIs) {
  auto world = three_entries();
  const auto before = world.compiled.snapshot;
  world.edit_last(rule({"b.example", "rule", "default", "tls: {mode: SIMPLE, sni: other}"}))
      .compile();
  const auto edited = world.snapshot().clusters.at("outbound|80||b.example");
  EXPECT_EQ(edited->tls.sni, "other");
  EXPECT_EQ(edited->rule, istio::metadata_of(*world.input.resources.back()).ref);
  EXPECT_EQ(world.snapshot().clusters.at("outbound|80||a.example"),
            before->clusters.at("outbound|80||a.example"));
  world.compile();
  EXPECT_EQ(world.snapshot().clusters.at("outbound|80||b.example"), edited);
}

// What a snapshot says, without the identity of its objects.
std::string said(const Compiled& compiled) {
  std::map<std::string, std::string> lines;
  for (const auto& [name, cluster] : compiled.snapshot->clusters) {
    auto& line = lines[std::string(name)];
    line = " " + (cluster->rule ? cluster->rule->text() : "-") + " " +
           std::to_string(int(cluster->tls.mode)) + cluster->tls.sni +
           (cluster->refused ? " " + cluster->refused->context : "");
    for (const auto& san : cluster->tls.names) line += " san " + san;
    for (const auto& endpoint : cluster->endpoints)
      line += " " + endpoint.host + endpoint.ip.text();
  }
  for (const auto& [port, listener] : compiled.snapshot->by_port) {
    if (!listener->http) continue;
    for (const auto& [host, to] : listener->http->hosts.exact) {
      auto& line = lines["route " + std::to_string(port) + " " + host];
      for (const auto& route : to->routes)
        line += " " + route.name + ">" + (route.cluster ? route.cluster->name : "-");
    }
  }
  std::string out;
  for (const auto& [name, line] : lines) out += name + line + "\n";
  for (const auto& finding : compiled.findings) out += finding.text() + "\n";
  for (const auto& name : compiled.secret_names) out += "secret " + name + "\n";
  return out;
}

// Each step of a life of changes, compiled on top of the one before, says what compiling all of it
// from nothing says.
TEST(Recompiling, OnTopOfTheLastSnapshotIsCompilingFromNothing) {
  struct Step {
    const char* what;
    std::string add;     // empty: the newest resource goes
    bool edits = false;  // the newest becomes it
  };
  const auto mutual = [](const char* name) {
    return rule({"a.example", name, "default",
                 "tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCertificates: /a}"});
  };
  const Step steps[] = {
      {"a rule for a host", mutual("late")},
      {"a second one merges its subsets",
       "kind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata: {name: more}\n"
       "spec: {host: a.example, subsets: [{name: v1, labels: {v: '1'}}]}\n"},
      {"one of them is edited",
       "kind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata: {name: more}\n"
       "spec: {host: a.example, subsets: [{name: v2, labels: {v: '2'}}]}\n",
       true},
      {"the subsets go", ""},
      {"the rule goes", ""},
      {"a port that the host does not have: a finding",
       rule({"a.example", "wrong-port", "default",
             "portLevelSettings: [{port: {number: 81}, tls: {mode: SIMPLE}}]"})},
      {"nothing changes, the finding stays", service("idle", "default", "198.18.0.10", {"1 http"})},
      {"a Service takes a host over",
       "kind: Service\napiVersion: v1\nmetadata: {name: shop}\n"
       "spec: {clusterIP: 198.18.0.11, ports: [{name: http, port: 80}]}\n"},
      {"a ServiceEntry decorates it", entry({"shop.default.svc.cluster.local",
                                             "default",
                                             "DNS",
                                             {"80 HTTP"},
                                             "  subjectAltNames: [shop.example]\n"})},
      {"a rule for the decorated one",
       rule({"shop.default.svc.cluster.local", "shop", "default", "tls: {mode: SIMPLE}"})},
      {"it is edited",
       rule({"shop.default.svc.cluster.local", "shop", "default", "tls: {mode: DISABLE}"}), true},
      {"the rule goes again", ""},
      {"the decoration goes", ""},
      {"a VirtualService routes a host elsewhere",
       "kind: VirtualService\napiVersion: networking.istio.io/v1\nmetadata: {name: move}\n"
       "spec: {hosts: [a.example], http: [{route: [{destination: {host: b.example, "
       "port: {number: 80}}}]}]}\n"},
      {"it goes", ""},
      {"a broken rule closes a host",
       "kind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata: {name: broken}\n"
       "spec: {host: a.example, trafficPolicy: {tls: {mode: NOPE}}}\n"},
  };
  auto world = three_entries();
  for (const auto& step : steps) {
    if (step.add.empty()) {
      world.input.resources.pop_back();
    } else if (step.edits) {
      world.edit_last(step.add);
    } else {
      world.add(step.add);
    }
    world.compile();
    EXPECT_EQ(said(world.compiled), said(compile(world.input, nullptr, 1))) << step.what;
  }
}

TEST(Recompiling, UnderAnotherMeshConfigStartsFromNothing) {
  auto world = three_entries();
  world.input.mesh.connect_timeout = std::chrono::seconds(3);
  world.new_mesh = true;
  world.compile();
  EXPECT_EQ(world.cluster("outbound|80||a.example")->connect_timeout, std::chrono::seconds(3));
}

TEST(Compiling, IsDeterministic) {
  const auto names = [](const Snapshot& snapshot) {
    std::map<std::string, std::string> out;
    for (const auto& [name, cluster] : snapshot.clusters)
      out[std::string(name)] = cluster->rule ? cluster->rule->text() : "";
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
