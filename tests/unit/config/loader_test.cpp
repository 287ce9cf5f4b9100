// One load after another: what the next one keeps of the last.
#include "agent/config/loader.h"

#include <gtest/gtest.h>

#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"

namespace sallyport::config {
namespace {

const std::string entry =
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web}\nspec:\n"
    "  hosts: [web.example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  "
    "resolution: DNS\n";
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
  Load load() {
    if (!loader_) loader_.emplace(options_);
    auto loaded = loader_->load();
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

}  // namespace
}  // namespace sallyport::config
