// One load after another: what the next one keeps of the last.
#include "agent/config/loader.h"

#include <gtest/gtest.h>

#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"
#include "tests/unit/config/web_entry.h"

namespace sallyport::config {
namespace {

std::string rule(const std::string& tls) {
  return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec:\n"
         "  host: web.example.com\n  trafficPolicy:\n    tls: " +
         tls;
}

class ConfigLoader : public testing::Test {
protected:
  ConfigLoader() {
    options_.directory = files_.path("config");
    options_.mesh_config_file = files_.path("mesh.yaml");
    std::filesystem::create_directory(options_.directory);
    files_.write("config/web.yaml", entry);
    files_.write("mesh.yaml", "tlsDefaults: {minProtocolVersion: TLSV1_3}\n");
  }
  Load load(const Touched& touched = {}) {
    if (!loader_) loader_.emplace(options_);
    auto loaded = loader_->load(touched);
    EXPECT_TRUE(loaded);
    return *loaded;
  }
  std::string trusting(const test::Authority& ca, const std::string& name) {
    files_.write(name, ca.pem());
    return rule("{mode: SIMPLE, caCertificates: " + files_.path(name) + "}\n");
  }

  test::TemporaryDirectory files_;
  Options options_;
  std::optional<Loader> loader_;
};

TEST_F(ConfigLoader, AnotherMeshConfigLeavesClustersAsTheyAreWhereItSaysTheSameOfThem) {
  files_.write("config/rule.yaml", rule("{mode: SIMPLE}\n"));
  const auto before = load();
  ASSERT_TRUE(before.snapshot->clusters.at("outbound|80||web.example.com")->tls.parameters);
  files_.write("mesh.yaml",
               "tlsDefaults: {minProtocolVersion: TLSV1_3}\naccessLogFile: /dev/null\n");
  const auto after = load();
  EXPECT_EQ(after.snapshot->mesh.access_log_file, "/dev/null");
  EXPECT_EQ(after.snapshot->clusters.at("outbound|80||web.example.com"),
            before.snapshot->clusters.at("outbound|80||web.example.com"));
}

std::string gateway(const std::string& tls) {
  return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n"
         "  servers:\n  - port: {number: 443, name: https, protocol: HTTPS}\n"
         "    hosts: [a.com]\n    tls: {mode: SIMPLE, credentialName: c, " +
         tls + "}\n";
}

TEST_F(ConfigLoader, WhatAServerNamesAndThisOpenSslLacksIsSkippedAndNamed) {
  options_.proxy.type = istio::Proxy::Type::router;
  files_.write("config/gateway.yaml",
               gateway("cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256, DES-CBC3-SHA], "
                       "ecdhCurves: [X25519, X25519MLKEM768]"));
  std::string all;
  for (const auto& finding : load().findings) all += finding.text() + "\n";
  EXPECT_NE(all.find("gateway.yaml:6: warning: Gateway default/gw: spec.servers.tls.cipherSuites: "
                     "skipped, this OpenSSL does not have DES-CBC3-SHA"),
            std::string::npos)
      << all;
  EXPECT_NE(all.find("\"X25519MLKEM768\" is not available here and is left out"), std::string::npos)
      << all;
}

TEST_F(ConfigLoader, AServerWithoutASuiteIsClosedAndNamed) {
  options_.proxy.type = istio::Proxy::Type::router;
  files_.write("config/gateway.yaml", gateway("cipherSuites: [DES-CBC3-SHA]"));
  std::string all;
  for (const auto& finding : load().findings) all += finding.text() + "\n";
  EXPECT_NE(all.find("https.443.https.gw.default is closed: "), std::string::npos) << all;
}

TEST_F(ConfigLoader, AServersSecretIsNeededByItsGatewayAtItsLine) {
  options_.proxy.type = istio::Proxy::Type::router;
  files_.write("config/gateway.yaml", gateway("minProtocolVersion: TLSV1_3"));
  const auto loaded = load();
  const auto* entry = loaded.vault->find("kubernetes://c");
  ASSERT_NE(entry, nullptr);
  EXPECT_NE(entry->problem.find("needed by Gateway default/gw ("), std::string::npos)
      << entry->problem;
  EXPECT_NE(entry->problem.find("gateway.yaml:6)"), std::string::npos) << entry->problem;
}

TEST_F(ConfigLoader, SecretsOfThePublishedSnapshotStayUntilTheNextIsPublished) {
  const auto one = test::Authority::root("one"), two = test::Authority::root("two");
  const auto first = trusting(one, "one.pem"), second = trusting(two, "two.pem");
  files_.write("config/rule.yaml", first);
  EXPECT_EQ(load().vault->entries.size(), 1u);
  loader_->published();
  files_.write("config/rule.yaml", second);
  EXPECT_EQ(load().vault->entries.size(), 2u) << "workers are on the first";
  EXPECT_EQ(load().vault->entries.size(), 2u) << "looked again before it was published";
  loader_->published();
  EXPECT_EQ(load().vault->entries.size(), 1u);
}

TEST_F(ConfigLoader, ASecretThatNobodyHadIsForgottenWithTheRuleThatNamedIt) {
  files_.write("config/rule.yaml",
               rule("{mode: SIMPLE, caCertificates: " + files_.path("absent.pem") + "}\n"));
  EXPECT_EQ(load().vault->entries.size(), 1u);
  loader_->published();
  files_.write("config/rule.yaml", rule("{mode: SIMPLE}\n"));
  const auto after = load();
  EXPECT_EQ(after.vault->entries.size(), 0u);
  for (const auto& finding : after.findings)
    EXPECT_EQ(finding.text().find("absent.pem"), std::string::npos) << finding.text();
}

// What inotify named is all that is looked at.
class TouchedFiles : public ConfigLoader {
protected:
  TouchedFiles() { load(); }
  static std::string entry_of(const std::string& name, const std::string& host) {
    return "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " + name +
           "}\nspec:\n  hosts: [" + host +
           "]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: DNS\n";
  }
  Load load_touched(const std::vector<std::string>& names) {
    Touched touched{.all = false, .paths = {}};
    for (const auto& name : names) touched.paths.insert(options_.directory + "/" + name);
    return load(touched);
  }
  static bool has(const Load& load, const std::string& host) {
    return load.snapshot->clusters.contains("outbound|80||" + host);
  }
};

TEST_F(TouchedFiles, AnEditIsReadAndNoOtherFileIs) {
  files_.write("config/other.yaml", entry_of("other", "other.example.com"));
  load();
  files_.write("config/web.yaml", entry_of("web", "new.example.com"));
  files_.write("config/other.yaml", entry_of("other", "late.example.com"));
  const auto one = load_touched({"web.yaml"});
  EXPECT_TRUE(has(one, "new.example.com") && has(one, "other.example.com"));
  const auto both = load_touched({"other.yaml"});
  EXPECT_TRUE(has(both, "new.example.com") && has(both, "late.example.com"));
}

TEST_F(TouchedFiles, ANewOneAndOneThatIsGone) {
  files_.write("config/other.yaml", entry_of("other", "other.example.com"));
  EXPECT_TRUE(has(load_touched({"other.yaml"}), "other.example.com"));
  std::filesystem::remove(files_.path("config/other.yaml"));
  EXPECT_FALSE(has(load_touched({"other.yaml"}), "other.example.com"));
}

TEST_F(TouchedFiles, OneThatIsBrokenAndMended) {
  files_.write("config/web.yaml", entry_of("web", "NOT A HOST"));
  const auto broken = load_touched({"web.yaml"});
  EXPECT_TRUE(has(broken, "web.example.com")) << "the last good version";
  EXPECT_EQ(broken.refusals.size(), 1u);
  files_.write("config/web.yaml", entry_of("web", "mended.example.com"));
  const auto mended = load_touched({"web.yaml"});
  EXPECT_TRUE(has(mended, "mended.example.com"));
  EXPECT_TRUE(mended.refusals.empty() && mended.findings.empty());
}

TEST_F(TouchedFiles, WhatAWalkLeavesOutChangesNothing) {
  files_.write("config/web.yaml.new", "half writ");
  const auto before = load();
  EXPECT_EQ(load_touched({"web.yaml.new", "gone.swp"}).snapshot, before.snapshot);
}

// What a refused rule closes stays closed, whatever else happens in the directory.
TEST_F(TouchedFiles, WhatAWalkLeavesOutOpensNothingThatIsClosed) {
  files_.write("config/rule.yaml", rule("{mode: SIMPEL}\n"));
  const auto before = load();
  ASSERT_EQ(before.refusals.size(), 1u);
  ASSERT_TRUE(before.snapshot->clusters.at("outbound|80||web.example.com")->refused);
  files_.write("config/ca.pem", "rotated");
  const auto after = load_touched({"ca.pem"});
  EXPECT_EQ(after.refusals, before.refusals);
  EXPECT_TRUE(after.snapshot->clusters.at("outbound|80||web.example.com")->refused);
}

TEST_F(TouchedFiles, ALinksTargetIsFollowedWhateverItsName) {
  files_.write("config/target.v1", entry_of("other", "other.example.com"));
  files_.link("target.v1", "config/other.yaml");
  EXPECT_TRUE(has(load(), "other.example.com"));
  files_.write("config/target.v1", entry_of("other", "new.example.com"));
  EXPECT_TRUE(has(load_touched({"target.v1"}), "new.example.com"));
}

TEST_F(TouchedFiles, AFileOfTwoNamesIsFollowedUnderBoth) {
  files_.write("config/other.yaml", entry_of("other", "other.example.com"));
  std::filesystem::create_hard_link(files_.path("config/other.yaml"),
                                    files_.path("config/other.bak"));
  EXPECT_TRUE(has(load(), "other.example.com"));
  files_.write("config/other.bak", entry_of("other", "new.example.com"));
  EXPECT_TRUE(has(load_touched({"other.bak"}), "new.example.com"));
}

TEST_F(TouchedFiles, AWalkThatFailedIsMadeUpFor) {
  files_.write("config/other.yaml", entry_of("other", "other.example.com"));
  load();
  files_.write("config/web.yaml", entry_of("web", "new.example.com"));
  std::filesystem::rename(options_.directory, files_.path("away"));
  EXPECT_TRUE(has(load(), "web.example.com")) << "the last good version";
  std::filesystem::rename(files_.path("away"), options_.directory);
  const auto next = load_touched({"other.yaml"});
  EXPECT_TRUE(has(next, "new.example.com"));
}

TEST_F(TouchedFiles, ALinkOrADirectoryIsLookedAtWhole) {
  std::filesystem::create_directory(files_.path("elsewhere"));
  files_.write("elsewhere/other.yaml", entry_of("other", "other.example.com"));
  files_.link(files_.path("elsewhere"), "config/linked");
  EXPECT_TRUE(has(load_touched({"linked"}), "other.example.com"));
  std::filesystem::remove(files_.path("config/linked"));
  EXPECT_FALSE(has(load_touched({"linked"}), "other.example.com"));
}

}  // namespace
}  // namespace sallyport::config
