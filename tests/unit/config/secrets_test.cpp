// Which key and which CA a name leads to, and what happens when they are missing, broken or new.
#include "agent/config/secrets.h"

#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"

namespace sallyport::config {
namespace {

const test::Authority ca = test::Authority::root("Test Root");
const test::Issued one = ca.issue({.common_name = "one"});
const test::Issued two = ca.issue({.common_name = "two"});

ResourcePtr secret(const std::string& name, SecretData data,
                   const std::string& namespace_name = "default") {
  istio::Secret out;
  out.metadata.ref =
      std::make_shared<ResourceRef>(ResourceRef{"Secret", namespace_name, name, "s.yaml", 3});
  out.data = std::move(data);
  return std::make_shared<istio::Resource>(std::move(out));
}

ResourcePtr config_map(const std::string& name, SecretData data,
                       const std::string& namespace_name) {
  istio::ConfigMap out;
  out.metadata.ref =
      std::make_shared<ResourceRef>(ResourceRef{"ConfigMap", namespace_name, name, "s.yaml", 3});
  out.data = std::move(data);
  return std::make_shared<istio::Resource>(std::move(out));
}

std::shared_ptr<const certs::Vault> build(Secrets& secrets, const std::string& name,
                                          std::vector<ResourcePtr> resources) {
  const std::vector<WantedSecret> wanted = {{name, "DestinationRule default/x (f.yaml:1)"}};
  return secrets.build(wanted, resources);
}

struct Case {
  const char* name;
  const char* wanted;
  std::vector<ResourcePtr> resources;
  bool pair, roots;
  std::string problem;
};
const std::string needed = "; needed by DestinationRule default/x (f.yaml:1)";
const Case cases[] = {
    {"Kubernetes' TLS keys",
     "kubernetes://a",
     {secret("a", {{"tls.crt", one.chain_pem}, {"tls.key", one.key_pem}})},
     true,
     false,
     ""},
    {"generic keys",
     "kubernetes://a",
     {secret("a", {{"cert", one.chain_pem}, {"key", one.key_pem}})},
     true,
     false,
     ""},
    {"an empty generic pair gives way to the other style",
     "kubernetes://a",
     {secret("a",
             {{"cert", ""}, {"key", ""}, {"tls.crt", one.chain_pem}, {"tls.key", one.key_pem}})},
     true,
     false,
     ""},
    {"half a generic pair gives way too",
     "kubernetes://a",
     {secret("a", {{"cert", "x"}, {"tls.crt", one.chain_pem}, {"tls.key", one.key_pem}})},
     true,
     false,
     ""},
    {"the styles are not mixed",
     "kubernetes://a",
     {secret("a", {{"cert", one.chain_pem}, {"tls.key", one.key_pem}})},
     false,
     false,
     "s.yaml:3: Secret default/a: found secret, but didn't have expected keys (cert and key) or "
     "(tls.crt and tls.key); found: cert, tls.key" +
         needed},
    {"generic keys win",
     "kubernetes://a",
     {secret("a",
             {{"cert", one.chain_pem}, {"key", one.key_pem}, {"tls.crt", "x"}, {"tls.key", "x"}})},
     true,
     false,
     ""},
    {"no Secret", "kubernetes://a", {}, false, false, "Secret default/a: missing" + needed},
    {"a Secret of another namespace",
     "kubernetes://a",
     {secret("a", {{"cert", one.chain_pem}, {"key", one.key_pem}}, "other")},
     false,
     false,
     "Secret default/a: missing" + needed},
    {"other keys",
     "kubernetes://a",
     {secret("a", {{"ca.crt", "x"}, {"b", ""}, {"c", ""}, {"d", ""}})},
     false,
     false,
     "s.yaml:3: Secret default/a: found secret, but didn't have expected keys (cert and key) or "
     "(tls.crt and tls.key); found: b, c, ca.crt, and 1 more..." +
         needed},
    {"empty keys",
     "kubernetes://a",
     {secret("a", {{"tls.crt", ""}, {"tls.key", ""}})},
     false,
     false,
     "s.yaml:3: Secret default/a: found keys \"tls.crt\" and \"tls.key\", but they were empty" +
         needed},
    {"the CA of the Secret itself",
     "kubernetes://a-cacert",
     {secret("a", {{"ca.crt", ca.pem()}})},
     false,
     true,
     ""},
    {"the CA under its generic name",
     "kubernetes://a-cacert",
     {secret("a", {{"cacert", ca.pem()}})},
     false,
     true,
     ""},
    {"the CA of the twin first",
     "kubernetes://a-cacert",
     {secret("a", {{"cacert", "broken"}}), secret("a-cacert", {{"cacert", ca.pem()}})},
     false,
     true,
     ""},
    {"a twin without a CA counts, though the Secret itself has one",
     "kubernetes://a-cacert",
     {secret("a", {{"cacert", ca.pem()}}), secret("a-cacert", {{"other", "x"}})},
     false,
     false,
     "s.yaml:3: Secret default/a-cacert: found secret, but didn't have expected keys cacert or "
     "ca.crt; found: other" +
         needed},
    {"an empty generic CA gives way to the other style",
     "kubernetes://a-cacert",
     {secret("a", {{"cacert", ""}, {"ca.crt", ca.pem()}})},
     false,
     true,
     ""},
    {"an empty CA",
     "kubernetes://a-cacert",
     {secret("a", {{"ca.crt", ""}})},
     false,
     false,
     "s.yaml:3: Secret default/a: found key \"ca.crt\", but it was empty" + needed},
    {"a broken CRL: never unchecked",
     "kubernetes://a-cacert",
     {secret("a", {{"ca.crt", ca.pem()}, {"ca.crl", "junk"}})},
     false,
     false,
     "s.yaml:3: Secret default/a: CRL: no CRL in the PEM text" + needed},
    {"the CRL of the other style is not this CA's",
     "kubernetes://a-cacert",
     {secret("a", {{"cacert", ca.pem()}, {"ca.crl", "junk"}})},
     false,
     true,
     ""},
    {"an encrypted key",
     "kubernetes://a",
     {secret("a", {{"cert", one.chain_pem}, {"key", test::encrypted(one.key_pem)}})},
     false,
     false,
     "s.yaml:3: Secret default/a: private key: it is encrypted; store it without a pass phrase" +
         needed},
    {"the CA of a ConfigMap",
     "configmap://shared/cas",
     {config_map("cas", {{"ca.crt", ca.pem()}}, "shared")},
     false,
     true,
     ""},
    {"the CA of a ConfigMap under its generic name",
     "configmap://shared/cas",
     {config_map("cas", {{"cacert", ca.pem()}}, "shared")},
     false,
     true,
     ""},
    {"no ConfigMap",
     "configmap://shared/cas",
     {config_map("cas", {{"ca.crt", ca.pem()}}, "default")},
     false,
     false,
     "ConfigMap shared/cas: missing" + needed},
    {"a CA with its CRL",
     "kubernetes://a-cacert",
     {secret("a", {{"ca.crt", ca.pem()}, {"ca.crl", ca.crl({one.serial})}})},
     false,
     true,
     ""},
    {"no CA",
     "kubernetes://a-cacert",
     {},
     false,
     false,
     "Secret default/a (or a-cacert): missing" + needed},
    {"no CA in it",
     "kubernetes://a-cacert",
     {secret("a", {{"tls.crt", "x"}})},
     false,
     false,
     "s.yaml:3: Secret default/a: found secret, but didn't have expected keys cacert or ca.crt; "
     "found: tls.crt" +
         needed},
};
class SecretLookUp : public testing::TestWithParam<Case> {};
TEST_P(SecretLookUp, FollowsIstiosRules) {
  const Case& c = GetParam();
  Secrets secrets("default");
  const auto vault = build(secrets, c.wanted, c.resources);
  const certs::VaultEntry* entry = vault->find(c.wanted);
  ASSERT_TRUE(entry) << c.name;
  EXPECT_EQ(entry->pair != nullptr, c.pair) << c.name;
  EXPECT_EQ(entry->roots != nullptr, c.roots) << c.name;
  EXPECT_EQ(entry->problem, c.problem) << c.name;
  EXPECT_EQ(secrets.findings().size(), c.problem.empty() ? 0u : 1u) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, SecretLookUp, testing::ValuesIn(cases));

TEST(SecretRotation, TakesANewVersion) {
  Secrets secrets("default");
  const auto before = build(secrets, "kubernetes://a",
                            {secret("a", {{"cert", one.chain_pem}, {"key", one.key_pem}})});
  const auto after = build(secrets, "kubernetes://a",
                           {secret("a", {{"cert", two.chain_pem}, {"key", two.key_pem}})});
  EXPECT_EQ(before->find("kubernetes://a")->pair->info().subject, "CN=one");
  EXPECT_EQ(after->find("kubernetes://a")->pair->info().subject, "CN=two");
}

TEST(SecretRotation, KeepsTheObjectsOfWhatDidNotChange) {
  Secrets secrets("default");
  const SecretData data = {{"cert", one.chain_pem}, {"key", one.key_pem}};
  const auto before = build(secrets, "kubernetes://a", {secret("a", data)});
  EXPECT_EQ(build(secrets, "kubernetes://a", {secret("a", data)}), before);
}

TEST(SecretRotation, KeepsTheGoodOldVersionAndSaysWhy) {
  const std::vector<std::pair<std::vector<ResourcePtr>, std::string>> broken = {
      {{}, "missing"},
      {{secret("a", {{"cert", two.chain_pem}, {"key", one.key_pem}})}, "match"},
      {{secret("a", {{"cert", "junk"}, {"key", two.key_pem}})}, "certificate"},
  };
  for (const auto& [resources, reason] : broken) {
    Secrets secrets("default");
    const auto before = build(secrets, "kubernetes://a",
                              {secret("a", {{"cert", one.chain_pem}, {"key", one.key_pem}})});
    const auto after = build(secrets, "kubernetes://a", resources);
    const certs::VaultEntry& entry = *after->find("kubernetes://a");
    EXPECT_EQ(entry.pair, before->find("kubernetes://a")->pair) << reason;
    EXPECT_NE(entry.problem.find(reason), std::string::npos) << entry.problem;
    EXPECT_NE(entry.problem.find("; the last good version stays in use"), std::string::npos)
        << entry.problem;
    const auto healed = build(secrets, "kubernetes://a",
                              {secret("a", {{"cert", one.chain_pem}, {"key", one.key_pem}})});
    EXPECT_EQ(healed->find("kubernetes://a")->problem, "");
  }
}

TEST(SecretRotation, ARefusedSecretIsNotCalledMissing) {
  const istio::Finding refusal = {
      istio::Severity::error, "s.yaml", 9, "Secret", "default", "a", "data", "too long"};
  const std::vector<WantedSecret> wanted = {{"kubernetes://a", ""}, {"kubernetes://b", ""}};
  const ResourcePtr other = secret("b", {{"cert", one.chain_pem}, {"key", one.key_pem}});
  Secrets secrets("default");
  const auto vault = secrets.build(wanted, std::vector{other}, std::vector{refusal});
  EXPECT_EQ(vault->find("kubernetes://a")->problem, "s.yaml:9: Secret default/a: data: too long");
  EXPECT_TRUE(vault->find("kubernetes://b")->active()) << "others are not affected";
  EXPECT_EQ(vault->find("kubernetes://b")->problem, "");

  const ResourcePtr last_good = secret("a", {{"cert", one.chain_pem}, {"key", one.key_pem}});
  const auto kept = secrets.build(wanted, std::vector{last_good, other}, std::vector{refusal});
  EXPECT_TRUE(kept->find("kubernetes://a")->active());
  EXPECT_EQ(kept->find("kubernetes://a")->problem, "s.yaml:9: Secret default/a: data: too long");
}

TEST(SecretRotation, AChangedCrlIsAnotherSetOfCas) {
  Secrets secrets("default");
  const auto roots = [&](const std::string& crl) {
    return build(secrets, "kubernetes://a-cacert",
                 {secret("a", {{"ca.crt", ca.pem()}, {"ca.crl", crl}})})
        ->find("kubernetes://a-cacert")
        ->roots;
  };
  const auto before = roots(ca.crl({}));
  const auto after = roots(ca.crl({one.serial}));
  EXPECT_NE(before->id(), after->id()) << "pools and TLS sessions hang on it";
  EXPECT_EQ(roots("junk"), after) << "a broken one leaves the last good one in force";
}

TEST(SecretFiles, KeyAndCertificateReplacedOneAfterTheOther) {
  const test::TemporaryDirectory files;
  files.write("c", one.chain_pem);
  files.write("k", one.key_pem);
  const std::string name = "file-cert:" + files.path("c") + "~" + files.path("k");
  Secrets secrets("default");
  const auto old_pair = build(secrets, name, {})->find(name)->pair;
  files.replace("c", two.chain_pem);
  const auto between = build(secrets, name, {});
  EXPECT_EQ(between->find(name)->pair, old_pair) << "until both match";
  EXPECT_NE(between->find(name)->problem.find("does not match"), std::string::npos);
  files.replace("k", two.key_pem);
  const auto after = build(secrets, name, {});
  EXPECT_EQ(after->find(name)->pair->info().subject, "CN=two");
  EXPECT_EQ(after->find(name)->problem, "");
}

TEST(SecretFiles, AreReadAndListed) {
  const test::TemporaryDirectory files;
  files.write("c", one.chain_pem);
  files.write("k", one.key_pem);
  const std::string name = "file-cert:" + files.path("c") + "~" + files.path("k");
  Secrets secrets("default");
  const auto vault = build(secrets, name, {});
  ASSERT_TRUE(vault->find(name)->pair) << vault->find(name)->problem;
  EXPECT_EQ(secrets.files(), (std::vector<std::string>{files.path("c"), files.path("k")}));

  files.remove("k");
  const auto without = build(secrets, name, {});
  EXPECT_EQ(without->find(name)->pair, vault->find(name)->pair);
  EXPECT_EQ(without->find(name)->problem,
            files.path("c") + ": " + files.path("k") +
                ": No such file or directory; the last good version stays in use" + needed);
}

TEST(SecretFiles, ACrlThatIsAskedForIsNeverLeftOut) {
  const test::TemporaryDirectory files;
  files.write("ca", ca.pem());
  files.write("crl", ca.crl({one.serial}));
  const std::string name = "file-root:" + files.path("ca") + "~" + files.path("crl");
  Secrets secrets("default");
  const auto before = build(secrets, name, {})->find(name)->roots;
  ASSERT_TRUE(before);
  files.write("crl", "");  // `cp` truncates first, and a reload comes in between
  const auto between = build(secrets, name, {});
  EXPECT_EQ(between->find(name)->roots, before) << "the last good one stays in force";
  EXPECT_NE(between->find(name)->problem.find("crl is empty"), std::string::npos)
      << between->find(name)->problem;

  Secrets fresh("default");
  EXPECT_FALSE(build(fresh, name, {})->find(name)->roots) << "and without one: closed";
}

TEST(SecretFiles, GiveRootsWithAndWithoutACrl) {
  const test::TemporaryDirectory files;
  files.write("ca", ca.pem());
  files.write("crl", ca.crl({one.serial}));
  Secrets secrets("default");
  for (const std::string& crl : {std::string(), "~" + files.path("crl")}) {
    const std::string name = "file-root:" + files.path("ca") + crl;
    EXPECT_TRUE(build(secrets, name, {})->find(name)->roots);
  }
  const std::string bad = "file-root:" + files.path("ca") + "~" + files.path("ca");
  EXPECT_FALSE(build(secrets, bad, {})->find(bad)->roots);
}

TEST(Vault, SharesOneStoreBetweenEqualCas) {
  Secrets secrets("default");
  const std::vector<WantedSecret> wanted = {{"kubernetes://a-cacert", ""},
                                            {"kubernetes://b-cacert", ""}};
  const std::vector<ResourcePtr> resources = {secret("a", {{"ca.crt", ca.pem()}}),
                                              secret("b", {{"cacert", ca.pem()}})};
  const auto vault = secrets.build(wanted, resources);
  EXPECT_EQ(vault->find("kubernetes://a-cacert")->roots,
            vault->find("kubernetes://b-cacert")->roots);
}

TEST(Vault, NeverShowsAKey) {
  Secrets secrets("default");
  const auto vault =
      build(secrets, "kubernetes://a", {secret("a", {{"cert", one.chain_pem}, {"key", "S3cr3t"}})});
  EXPECT_EQ(vault->find("kubernetes://a")->problem.find("S3cr3t"), std::string::npos);
}

TEST(SecretNews, ASecretThatComesAndOneThatChangesAreToldOfAndThoseOfTheStartAreNot) {
  Secrets secrets("default");
  const auto of = [](const test::Issued& issued) {
    return secret("a", {{"tls.crt", issued.chain_pem}, {"tls.key", issued.key_pem}});
  };
  build(secrets, "kubernetes://a", {});
  EXPECT_TRUE(secrets.news().empty());
  build(secrets, "kubernetes://a", {of(one)});
  ASSERT_EQ(secrets.news().size(), 1u);
  EXPECT_TRUE(secrets.news()[0].starts_with(
      "kubernetes://a: key/cert pair went live: subject \"CN=one\", serial "))
      << secrets.news()[0];
  build(secrets, "kubernetes://a", {of(one)});
  EXPECT_TRUE(secrets.news().empty()) << "nothing new";
  build(secrets, "kubernetes://a", {of(two)});
  ASSERT_EQ(secrets.news().size(), 1u);
  EXPECT_NE(secrets.news()[0].find("CN=two"), std::string::npos) << secrets.news()[0];
  Secrets started("default");
  build(started, "kubernetes://a", {of(one)});
  EXPECT_TRUE(started.news().empty());
}

}  // namespace
}  // namespace sallyport::config
