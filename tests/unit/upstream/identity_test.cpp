// What a rule's TLS settings and a request's Host make of a connection: SNI, names to verify,
// secrets.
#include "agent/upstream/identity.h"

#include <gtest/gtest.h>

#include "agent/istio/resources.h"
#include "tests/support/test_certs.h"

namespace sallyport::upstream {
namespace {

using mesh::Originate;
using Names = std::vector<std::string>;

certs::Vault vault() {
  const auto ca = test::Authority::root("CA");
  const auto client = ca.issue({.common_name = "client"});
  certs::Vault out;
  out.entries["pair"].pair = *certs::KeyPair::parse(client.chain_pem, client.key_pem);
  out.entries["ca"].roots = *certs::TrustStore::parse(ca.pem());
  out.entries["broken"].problem = "key does not match the certificate";
  return out;
}

mesh::Cluster cluster(Originate mode) {
  mesh::Cluster out;
  out.name = "outbound|443||a.test";
  out.host = "a.test";
  out.tls.mode = mode;
  out.tls.certificate = mode == Originate::mutual ? "pair" : "";
  out.tls.roots = "ca";
  out.tls.rule = std::make_shared<ResourceRef>(
      ResourceRef{"DestinationRule", "default", "originate", "rules.yaml", 12});
  return out;
}

struct Case {
  const char* name;
  std::string sni;
  bool auto_sni;
  Names names;
  bool auto_san;
  std::string authority;
  std::string sent_sni;
  Names verified;
};
const Case cases[] = {
    {"sni given, no names: the chain only", "x.test", false, {}, false, "b.test", "x.test", {}},
    {"nothing given: the Host is SNI and name", "", true, {}, true, "B.test", "b.test", {"b.test"}},
    {"names given: the Host is only SNI", "", true, {"n"}, true, "b.test", "b.test", {"n"}},
    {"no Host: the service's host", "", true, {}, true, "", "a.test", {"a.test"}},
    {"TCP: neither unless given", "", false, {}, false, "", "", {}},
};

TEST(Identity, FollowsTheRuleAndTheHost) {
  const auto secrets = vault();
  for (const Case& c : cases) {
    auto to = cluster(Originate::simple);
    to.tls.sni = c.sni;
    to.tls.auto_sni = c.auto_sni;
    to.tls.names = c.names;
    to.tls.auto_san = c.auto_san;
    const auto identity = make_identity(to, c.authority, secrets);
    ASSERT_TRUE(identity) << c.name;
    EXPECT_EQ((*identity)->sni, c.sent_sni) << c.name;
    EXPECT_EQ((*identity)->names, c.verified) << c.name;
    EXPECT_TRUE((*identity)->roots) << c.name;
    EXPECT_FALSE((*identity)->certificate) << c.name;
  }
}

TEST(Identity, MutualBringsTheCertificate) {
  const auto identity = make_identity(cluster(Originate::mutual), "", vault());
  ASSERT_TRUE(identity);
  EXPECT_EQ((*identity)->certificate->info().subject, "CN=client");
}

TEST(Identity, HostsShareAnIdentityUnlessItIsMadeFromThem) {
  auto to = cluster(Originate::simple);
  EXPECT_EQ(identity_key(to, "b.test", true), "");
  to.tls.auto_sni = true;
  EXPECT_EQ(identity_key(to, "b.test", true), "b.test");
  to = cluster(Originate::istio_mutual);
  EXPECT_NE(identity_key(to, "b.test", true), identity_key(to, "b.test", false))
      << "requests and bytes have an ALPN of their own";
}

struct Failing {
  const char* name;
  std::string certificate, roots;
  Originate mode;
  std::string says;
};
const Failing failing[] = {
    {"certificate absent", "gone", "ca", Originate::mutual,
     "client certificate gone: it is not there"},
    {"certificate broken", "broken", "ca", Originate::mutual, "key does not match the certificate"},
    {"certificate not named", "", "ca", Originate::mutual, "names no client certificate"},
    {"a CA in the certificate's place", "ca", "ca", Originate::mutual, "client certificate ca"},
    {"CA absent", "", "gone", Originate::simple, "CA certificate gone: it is not there"},
    {"CA not named", "", "", Originate::simple, "names no CA certificates"},
};

TEST(Identity, AMissingSecretNamesTheRuleAndTheProblem) {
  const auto secrets = vault();
  for (const Failing& c : failing) {
    auto to = cluster(c.mode);
    to.tls.certificate = c.certificate;
    to.tls.roots = c.roots;
    const auto identity = make_identity(to, "", secrets);
    ASSERT_FALSE(identity) << c.name;
    const Error& error = identity.error();
    EXPECT_EQ(error.fault, Fault::missing_secret) << c.name;
    EXPECT_FALSE(error.retryable) << c.name;
    EXPECT_NE(error.context.find("DestinationRule default/originate (rules.yaml:12)"),
              std::string::npos)
        << error.context;
    EXPECT_NE(error.context.find(c.says), std::string::npos) << error.context;
    EXPECT_EQ(error.resource, "DestinationRule default/originate (rules.yaml:12)");
  }
}

TEST(Identity, WithoutAnyNameToVerifyItIsRefused) {
  auto to = cluster(Originate::simple);
  to.host = "*.test";
  to.tls.auto_sni = to.tls.auto_san = true;
  const auto identity = make_identity(to, "", vault());
  ASSERT_FALSE(identity);
  EXPECT_EQ(identity.error().fault, Fault::tls_verify);
}

TEST(Identity, SkippingVerificationNeedsNoCa) {
  auto to = cluster(Originate::simple);
  to.tls.skip_verify = true;
  to.tls.roots = "";
  EXPECT_TRUE(make_identity(to, "", vault()));
}

TEST(Identity, TakesTheMeshsTlsDefaults) {
  auto to = cluster(Originate::simple);
  to.tls.parameters = std::make_shared<istio::TlsDefaults>(
      istio::TlsDefaults{true, {"AES128-SHA", "AES256-SHA"}, {"P-521"}});
  const auto identity = make_identity(to, "", vault());
  ASSERT_TRUE(identity);
  EXPECT_EQ((*identity)->lowest, tls::Version::tls_1_3);
  EXPECT_EQ((*identity)->ciphers, "AES128-SHA:AES256-SHA");
  EXPECT_EQ((*identity)->curves, "P-521");
  EXPECT_EQ((*identity)->roots_name, "ca") << "for messages about its CRLs";
}

TEST(SecretIds, ChangeWithTheSecretAndNotWithTheVault) {
  auto secrets = vault();
  const auto to = cluster(Originate::mutual);
  const auto before = secret_ids(to, secrets);
  EXPECT_EQ(secret_ids(to, certs::Vault(secrets)), before);
  secrets.entries["pair"] = vault().entries["pair"];
  EXPECT_NE(secret_ids(to, secrets), before);
}

}  // namespace
}  // namespace sallyport::upstream
