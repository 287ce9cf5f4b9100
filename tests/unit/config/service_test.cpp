// The whole way: a directory is read, published, followed; what goes bad disturbs nothing else.
#include "agent/config/service.h"

#include <boost/asio/io_context.hpp>

#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"
#include "tests/unit/config/web_entry.h"

namespace sallyport::config {
namespace {

const std::string rule_head =
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec:\n"
    "  host: web.example.com\n  workloadSelector: {matchLabels: {}}\n  trafficPolicy:\n    tls: ";

class ConfigService : public testing::Test {
protected:
  ConfigService() {
    options_.directory = files_.path("config");
    std::filesystem::create_directory(options_.directory);
  }

  Service& start() {
    service_ = std::make_unique<Service>(io_, options_,
                                         [this](const std::string& line) { log_.push_back(line); });
    started_ = service_->start();
    return *service_;
  }
  // Runs the configuration thread's loop until `holds`; a test that hangs here has found a lost
  // change.
  template <class Predicate>
  void await(Predicate holds) {
    while (!holds()) io_.run_one();
  }
  const mesh::Cluster* cluster() const {
    const auto snapshot = service_->snapshots().current();
    const auto at = snapshot->clusters.find("outbound|80||web.example.com");
    return at == snapshot->clusters.end() ? nullptr : at->second.get();
  }
  bool logged(const std::string& part) const {
    return std::any_of(log_.begin(), log_.end(),
                       [&](const std::string& line) { return line.find(part) != line.npos; });
  }

  test::TemporaryDirectory files_;
  Options options_;
  boost::asio::io_context io_;
  std::vector<std::string> log_;
  std::unique_ptr<Service> service_;
  Result<void> started_;
};

TEST_F(ConfigService, TheWorkloadsOwnIdentityStandsBesideTheSecretsOfTheConfiguration) {
  const auto ca = test::Authority::root("Mesh Root");
  const auto issued = ca.issue({.uris = {"spiffe://cluster.local/ns/default/sa/sleep"}});
  files_.write("config/web.yaml", entry);
  files_.write("config/rule.yaml", rule_head + "{mode: ISTIO_MUTUAL}\n");
  start();
  ASSERT_TRUE(started_);
  EXPECT_EQ(service_->vault().current()->find("default"), nullptr);
  certs::VaultEntry pair, roots;
  pair.pair = *certs::KeyPair::parse(issued.chain_pem, issued.key_pem);
  roots.roots = *certs::TrustStore::parse(ca.pem());
  service_->set_identity(pair, roots);
  service_->reload();
  const auto vault = service_->vault().current();
  ASSERT_TRUE(vault->find("default") && vault->find("ROOTCA"));
  EXPECT_EQ(vault->find("default")->pair, pair.pair);
  EXPECT_EQ(vault->find("ROOTCA")->roots, roots.roots);
  EXPECT_FALSE(logged("default: "));
}

TEST_F(ConfigService, PublishesWhatTheDirectorySays) {
  files_.write("config/sub/web.yaml", entry);
  start();
  ASSERT_TRUE(started_);
  EXPECT_TRUE(cluster());
  EXPECT_EQ(service_->loads(), 1u);
  EXPECT_EQ(log_, std::vector<std::string>{});
}

TEST_F(ConfigService, LetsNothingOutBeforeItIsStarted) {
  Service service(io_, options_, nullptr);
  EXPECT_EQ(service.snapshots().current()->mesh.outbound_traffic_policy,
            istio::OutboundMode::registry_only);
}

TEST_F(ConfigService, WithoutADirectoryDoesNotStart) {
  files_.remove("config");
  start();
  ASSERT_FALSE(started_);
  EXPECT_NE(started_.error().context.find("No such file or directory"), std::string::npos);
}

TEST_F(ConfigService, WithABadMeshConfigDoesNotStart) {
  options_.mesh_config_file = files_.path("mesh.yaml");
  start();
  EXPECT_FALSE(started_) << "missing";
  files_.write("mesh.yaml", "outboundTrafficPolicy: {mode: REGISTRY-ONLY}\n");
  start();
  ASSERT_FALSE(started_) << "mistyped";
  EXPECT_NE(started_.error().context.find("mesh.yaml:1: MeshConfig: outboundTrafficPolicy.mode"),
            std::string::npos);
}

TEST_F(ConfigService, FollowsFilesThatAppearChangeAndGo) {
  start();
  ASSERT_TRUE(started_);
  EXPECT_FALSE(cluster());
  files_.write("config/web.yaml", entry);
  await([&] { return cluster() != nullptr; });
  files_.write("config/new/more.yaml", "kind: [");
  await([&] { return logged("new/more.yaml:1"); });
  files_.remove("config/web.yaml");
  await([&] { return cluster() == nullptr; });
}

TEST_F(ConfigService, FollowsEditsInPlaceWhereverTheFileIs) {
  options_.directory += '/';
  std::string text = entry;
  files_.write("config/web.yaml", text);
  files_.write("config/sub/other.yaml",
               std::string(text).replace(text.find("name: web"), 9, "name: sub"));
  start();
  ASSERT_TRUE(started_);
  ASSERT_TRUE(cluster());
  const auto has = [&](const std::string& port) {
    return service_->snapshots().current()->clusters.contains("outbound|" + port +
                                                              "||web.example.com");
  };
  const auto at = text.find("number: 80");
  ASSERT_NE(at, text.npos);
  files_.replace("config/web.yaml", std::string(text).replace(at, 10, "number: 81"));
  await([&] { return has("81"); });
  auto other = std::string(text).replace(at, 10, "number: 82");
  other.replace(other.find("name: web"), 9, "name: sub");
  files_.write("config/sub/other.yaml", other);
  await([&] { return has("82"); });
  EXPECT_TRUE(has("81"));
}

TEST_F(ConfigService, SaysWhatIsInForceAndWhatIsGoodAgain) {
  std::vector<std::string> news;
  options_.info = [&](const std::string& line) { news.push_back(line); };
  const auto said = [&](const std::string& part) {
    return std::any_of(news.begin(), news.end(),
                       [&](const std::string& line) { return line.find(part) != line.npos; });
  };
  files_.write("config/web.yaml", entry);
  start();
  EXPECT_EQ(news, std::vector<std::string>{"configuration 1 is in force: 1 resource, 1 new or "
                                           "changed: ServiceEntry default/web (" +
                                           files_.path("config/web.yaml") + ":1)"});
  files_.write("config/web.yaml", "kind: [");
  await([&] { return !log_.empty(); });
  EXPECT_FALSE(said("no longer refused"));
  files_.write("config/web.yaml", entry);
  await([&] { return said("no longer refused: "); });
  files_.remove("config/web.yaml");
  await([&] { return said(" is in force: 0 resources, 0 new or changed; 1 gone"); });
}

TEST_F(ConfigService, FollowsAMountedConfigMap) {
  files_.write("config/..1/web.yaml", "# nothing yet\n");
  files_.link("..1", "config/..data");
  files_.link("..data/web.yaml", "config/web.yaml");
  start();
  EXPECT_FALSE(cluster());
  files_.write("config/..2/web.yaml", entry);
  files_.turn("config/..data", "..2");
  files_.remove("config/..1");
  await([&] { return cluster() != nullptr; });
  files_.write("config/..3/web.yaml", "# nothing again\n");
  files_.turn("config/..data", "..3");
  files_.remove("config/..2");
  await([&] { return cluster() == nullptr; });
}

TEST_F(ConfigService, FollowsTheMeshConfigAndKeepsTheLastGoodOne) {
  options_.mesh_config_file = files_.path("mesh.yaml");
  files_.write("mesh.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n");
  start();
  ASSERT_TRUE(started_);
  const auto mode = [&] { return service_->snapshots().current()->mesh.outbound_traffic_policy; };
  EXPECT_EQ(mode(), istio::OutboundMode::registry_only);
  files_.replace("mesh.yaml", "outboundTrafficPolicy: {mode: ANY}\n");
  await([&] { return logged("the last good mesh config stays in force"); });
  EXPECT_EQ(mode(), istio::OutboundMode::registry_only);
  files_.replace("mesh.yaml", "outboundTrafficPolicy: {mode: ALLOW_ANY}\n");
  await([&] { return mode() == istio::OutboundMode::allow_any; });
}

// What listens, what a loop is told by, and what a dump shows are one port.
TEST_F(ConfigService, PortsOfTheCommandLineStandInTheMeshConfigsPlace) {
  files_.write("mesh.yaml", "proxyListenPort: 15101\n");
  options_.mesh_config_file = files_.path("mesh.yaml");
  options_.outbound_port = 25001;
  options_.inbound_port = 25006;
  const auto& service = start();
  const auto ports = [&] {
    const auto& mesh = service.snapshots().current()->mesh;
    return std::pair(mesh.proxy_listen_port, mesh.proxy_inbound_listen_port);
  };
  EXPECT_EQ(ports(), std::pair(uint16_t(25001), uint16_t(25006)));
  files_.write("mesh.yaml", "proxyListenPort: 15201\nrootNamespace: elsewhere\n");
  await([&] { return service.snapshots().current()->mesh.root_namespace == "elsewhere"; });
  EXPECT_EQ(ports(), std::pair(uint16_t(25001), uint16_t(25006)));
}

TEST_F(ConfigService, RefusesAMeshConfigThatOthersCannotUse) {
  options_.mesh_config_file = files_.path("mesh.yaml");
  options_.check_mesh = [](const istio::MeshConfig& mesh) -> std::optional<istio::Finding> {
    if (mesh.access_log_format != "bad") return std::nullopt;
    return istio::Finding{.line = mesh.access_log_format_line,
                          .kind = "MeshConfig",
                          .field = "accessLogFormat",
                          .reason = "is bad"};
  };
  files_.write("mesh.yaml", "accessLogFormat: bad\n");
  start();
  ASSERT_FALSE(started_);
  files_.write("mesh.yaml", "accessLogFormat: good\n");
  start();
  ASSERT_TRUE(started_);
  files_.replace("mesh.yaml", "rootNamespace: a\naccessLogFormat: bad\n");
  await([&] {
    return logged(
        "mesh.yaml:2: MeshConfig: accessLogFormat: is bad; the last good mesh config "
        "stays in force");
  });
  EXPECT_EQ(service_->snapshots().current()->mesh.access_log_format, "good");
  EXPECT_EQ(service_->snapshots().current()->mesh.root_namespace, "istio-system");
}

TEST_F(ConfigService, CallsWithWhatItPublishes) {
  options_.mesh_config_file = files_.path("mesh.yaml");
  files_.write("mesh.yaml", "accessLogFile: a\n");
  start();
  std::vector<std::string> seen;
  service_->on_publish(
      [&](const mesh::Snapshot& snapshot) { seen.push_back(snapshot.mesh.access_log_file); });
  service_->reload();
  EXPECT_TRUE(seen.empty());
  files_.replace("mesh.yaml", "accessLogFile: b\naccessLogEncoding: JSON\n");
  await([&] { return !seen.empty(); });
  EXPECT_EQ(seen, std::vector<std::string>{"b"});
}

TEST_F(ConfigService, KeepsTheLastGoodVersionOfABadDocument) {
  files_.write("config/web.yaml", entry);
  start();
  files_.write("config/web.yaml", entry + "  exportTo: 1\n");
  await([&] { return logged("web.yaml:8: ServiceEntry default/web: spec.exportTo"); });
  ASSERT_TRUE(cluster());
  EXPECT_FALSE(cluster()->refused);
  EXPECT_EQ(service_->rejected(), 1u);
  ASSERT_EQ(service_->findings().size(), 1u);
  files_.write("config/web.yaml", entry);
  await([&] { return service_->findings().empty(); });
}

TEST_F(ConfigService, ClosesTheHostsOfARuleThatWasNeverGood) {
  files_.write("config/web.yaml", entry + "---\n" + rule_head + "{mode: SIMPEL}\n");
  start();
  ASSERT_TRUE(started_);
  ASSERT_TRUE(cluster());
  EXPECT_TRUE(cluster()->refused);
}

TEST_F(ConfigService, LogsAFindingOnceNotAtEachReload) {
  files_.write("config/web.yaml", "kind: [");
  start();
  const std::size_t lines = log_.size();
  EXPECT_EQ(lines, 1u);
  service_->reload();
  service_->reload();
  EXPECT_EQ(log_.size(), lines);
  EXPECT_EQ(service_->loads(), 3u);
  EXPECT_EQ(service_->rejected(), 1u);
}

TEST_F(ConfigService, PublishesNothingNewWhenNothingChanged) {
  files_.write("config/web.yaml", entry);
  start();
  const auto snapshot = service_->snapshots().current();
  const auto vault = service_->vault().current();
  service_->reload();
  EXPECT_EQ(service_->snapshots().current(), snapshot);
  EXPECT_EQ(service_->vault().current(), vault);
}

TEST_F(ConfigService, KeepsWhatItHasWhenTheDirectoryGoes) {
  files_.write("config/web.yaml", entry);
  start();
  std::filesystem::rename(files_.path("config"), files_.path("away"));
  await([&] { return logged("the last good configuration stays in force"); });
  EXPECT_TRUE(cluster());
  files_.remove("away/web.yaml");
  std::filesystem::rename(files_.path("away"), files_.path("config"));
  await([&] { return cluster() == nullptr; });
}

TEST_F(ConfigService, LoadsPemFilesAndFollowsThem) {
  const auto ca = test::Authority::root("Test Root");
  const auto one = ca.issue({.common_name = "one"}), two = ca.issue({.common_name = "two"});
  files_.write("certs/v1/c", one.chain_pem);
  files_.write("certs/v1/k", one.key_pem);
  files_.link("v1", "certs/..data");
  const std::string c = files_.path("certs/..data/c"), k = files_.path("certs/..data/k");
  const std::string roots = files_.path("roots/ca");
  options_.proxy.labels = {{"app", "sleep"}};
  files_.write("config/web.yaml", entry + "---\n" + rule_head +
                                      "{mode: MUTUAL, clientCertificate: " + c +
                                      ", privateKey: " + k + ", caCertificates: " + roots + "}\n");
  start();
  ASSERT_TRUE(started_);
  const auto find = [&](const std::string& name) {
    return *service_->vault().current()->find(name);
  };
  const std::string certificate = "file-cert:" + c + "~" + k;
  ASSERT_TRUE(service_->vault().current()->find(certificate));
  EXPECT_EQ(find(certificate).pair->info().subject, "CN=one");
  EXPECT_FALSE(find("file-root:" + roots).active());
  EXPECT_TRUE(logged(roots + ": " + roots +
                     ": No such file or directory; needed by DestinationRule default/web"));

  files_.write("roots/ca", ca.pem());
  await([&] { return find("file-root:" + roots).active(); });
  files_.write("certs/v2/c", two.chain_pem);
  files_.write("certs/v2/k", two.key_pem);
  files_.turn("certs/..data", "v2");
  await([&] { return find(certificate).pair->info().subject == "CN=two"; });
  files_.write("certs/v2/k", one.key_pem);
  await([&] { return !find(certificate).problem.empty(); });
  EXPECT_EQ(find(certificate).pair->info().subject, "CN=two");
}

TEST_F(ConfigService, ReplacedFilesAreUsedTogetherOrNotAtAll) {
  const auto ca = test::Authority::root("Test Root");
  const auto one = ca.issue({.common_name = "one"}), two = ca.issue({.common_name = "two"});
  files_.write("c", one.chain_pem);
  files_.write("k", one.key_pem);
  const std::string name = "file-cert:" + files_.path("c") + "~" + files_.path("k");
  files_.write("config/web.yaml", entry + "---\n" + rule_head +
                                      "{mode: MUTUAL, clientCertificate: " + files_.path("c") +
                                      ", privateKey: " + files_.path("k") + "}\n");
  start();
  const auto find = [&] { return *service_->vault().current()->find(name); };
  ASSERT_TRUE(find().pair) << find().problem;
  files_.replace("k", two.key_pem);
  await([&] { return !find().problem.empty(); });
  EXPECT_EQ(find().pair->info().subject, "CN=one");
  EXPECT_TRUE(logged("private key: does not match the certificate"));
  files_.replace("c", two.chain_pem);
  await([&] { return find().pair->info().subject == "CN=two"; });
  EXPECT_EQ(find().problem, "");
  for (const std::string& line : log_) {
    for (const auto& issued : {one, two})
      EXPECT_EQ(line.find(issued.key_pem.substr(40, 20)), line.npos) << "no key in a log";
  }
}

TEST_F(ConfigService, WarnsOfCertificatesThatExpire) {
  const auto ca = test::Authority::root("Test Root", {.valid_to_s = 9 * 365 * test::day_s});
  const auto issued = ca.issue(
      {.common_name = "one", .valid_from_s = -365 * test::day_s, .valid_to_s = 40 * test::day_s});
  files_.write("c", issued.chain_pem);
  files_.write("k", issued.key_pem);
  files_.write("config/web.yaml", entry + "---\n" + rule_head +
                                      "{mode: MUTUAL, clientCertificate: " + files_.path("c") +
                                      ", privateKey: " + files_.path("k") + "}\n");
  int64_t now = issued.not_after - 31 * test::day_s;
  options_.now = [&now] { return now; };
  start();
  const std::size_t before = log_.size();
  const std::pair<int64_t, std::size_t> steps[] = {{30, 1}, {29, 1}, {6, 2},
                                                   {1, 3},  {0, 4},  {-9, 4}};
  for (const auto& [days, lines] : steps) {
    now = issued.not_after + 2 - days * test::day_s;  // the PEM was made a moment before
    service_->reload();
    EXPECT_EQ(log_.size() - before, lines) << days;
  }
  EXPECT_FALSE(logged("expires in 31 days"));
  EXPECT_TRUE(logged("file-cert:" + files_.path("c") + "~" + files_.path("k") +
                     ": certificate \"CN=one\", serial "));
  EXPECT_TRUE(logged(" has expired: it was good until "));
}

TEST_F(ConfigService, MayBeDestroyedAtAnyMoment) {
  files_.write("config/web.yaml", entry);
  start();
  files_.write("config/web.yaml", "# changed\n");
  io_.run_one();  // the event is in, the debounce runs
  service_.reset();
  io_.run();
}

}  // namespace
}  // namespace sallyport::config
