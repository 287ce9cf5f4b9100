// What of a source's answer is taken as an identity, and why the rest is not.
#include "certs/ca/identity_check.h"

#include <ctime>

#include "certs/ca/signing_request.h"
#include "tests/support/test_certs.h"

namespace sallyport::ca {
namespace {

const std::string sleep = "spiffe://cluster.local/ns/default/sa/sleep";

const test::Authority& root() {
  static const auto authority = test::Authority::root("Mesh Root");
  return authority;
}
const test::Authority& stranger() {
  static const auto authority = test::Authority::root("Another Root");
  return authority;
}

std::string outcome(IdentityMaterial material) {
  const auto roots = certs::TrustStore::parse(material.roots_pem);
  if (!roots) return roots.error().context;
  const auto pair = check_identity(material, **roots, std::time(nullptr));
  return pair ? "taken" : pair.error().context;
}

IdentityMaterial material(const test::Issued& issued, const std::string& roots,
                          const std::string& id = sleep) {
  return {issued.chain_pem, SecretText(issued.key_pem), roots, id};
}

test::Issued leaf(std::vector<std::string> uris, long from = -60, long to = 3600) {
  return root().issue({.uris = std::move(uris), .valid_from_s = from, .valid_to_s = to});
}

struct Case {
  const char* name;
  IdentityMaterial (*make)();
  const char* expect;  // a part of the reason
};

const Case cases[] = {
    {"the workload's own id, signed by the roots that came with it",
     [] { return material(leaf({sleep}), root().pem()); }, "taken"},
    {"an intermediate in the chain",
     [] { return material(root().intermediate("Issuing").issue({.uris = {sleep}}), root().pem()); },
     "taken"},
    {"several roots, the right one among them",
     [] { return material(leaf({sleep}), stranger().pem() + root().pem()); }, "taken"},
    {"from files any id is taken", [] { return material(leaf({}), root().pem(), ""); }, "taken"},
    {"another key than the one that was sent",
     [] {
       auto one = material(leaf({sleep}), root().pem());
       one.key_pem = SecretText(leaf({sleep}).key_pem);
       return one;
     },
     "key"},
    {"another SPIFFE id",
     [] { return material(leaf({"spiffe://cluster.local/ns/default/sa/admin"}), root().pem()); },
     "is for spiffe://cluster.local/ns/default/sa/admin, not for "
     "spiffe://cluster.local/ns/default/sa/sleep"},
    {"the right id and a second one",
     [] {
       return material(leaf({sleep, sleep + "2"}), root().pem());
     },
     "not for"},
    {"no id", [] { return material(leaf({}), root().pem()); }, "is for none, not for"},
    {"expired", [] { return material(leaf({sleep}, -3600, -60), root().pem()); }, "expired at"},
    {"not valid yet", [] { return material(leaf({sleep}, 600, 3600), root().pem()); },
     "not valid before"},
    {"roots that did not sign it", [] { return material(leaf({sleep}), stranger().pem()); },
     "its own roots do not verify the chain"},
    {"an intermediate that is missing",
     [] {
       auto one = material(root().intermediate("Issuing").issue({.uris = {sleep}}), root().pem());
       one.chain_pem.resize(one.chain_pem.find("-----END CERTIFICATE-----") + 26);
       return one;
     },
     "its own roots do not verify the chain"},
    {"no certificate",
     [] {
       return IdentityMaterial{"garbage", {}, root().pem(), sleep};
     },
     "no certificate in the PEM text"},
    {"no roots", [] { return material(leaf({sleep}), ""); }, "no certificate in the PEM text"},
};

class IdentityCheck : public testing::TestWithParam<Case> {};
TEST_P(IdentityCheck, Decides) {
  EXPECT_NE(outcome(GetParam().make()).find(GetParam().expect), std::string::npos)
      << GetParam().name << ": " << outcome(GetParam().make());
}
INSTANTIATE_TEST_SUITE_P(Spec, IdentityCheck, testing::ValuesIn(cases));

TEST(JoinCertificates, KeepsEachOnceAndTheOrder) {
  const auto joined = join_certificates({root().pem(), stranger().pem() + root().pem()});
  ASSERT_TRUE(joined);
  EXPECT_EQ(*joined, root().pem() + stranger().pem());
  EXPECT_FALSE(join_certificates({"", "no PEM"}));
}

std::string text_of(const X509_REQ* request) {
  const test::detail::Bio bio(BIO_new(BIO_s_mem()));
  X509_REQ_print(bio.get(), const_cast<X509_REQ*>(request));
  return test::detail::text_of(bio.get());
}

TEST(SigningRequest, AsksForTheIdInACriticalNameWithAnEmptySubject) {
  for (const auto kind : {KeyKind::ec_p256, KeyKind::ec_p384, KeyKind::rsa_2048}) {
    const auto made = make_signing_request(sleep, kind);
    ASSERT_TRUE(made) << made.error().context;
    const test::detail::Bio bio(BIO_new_mem_buf(made->csr_pem.data(), -1));
    const std::unique_ptr<X509_REQ, test::detail::FreeBy<X509_REQ_free>> request(
        PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
    ASSERT_TRUE(request);
    EXPECT_EQ(X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())), 1);
    EXPECT_EQ(X509_NAME_entry_count(X509_REQ_get_subject_name(request.get())), 0);
    const std::string text = text_of(request.get());
    EXPECT_NE(text.find("Subject Alternative Name: critical"), std::string::npos) << text;
    EXPECT_NE(text.find("URI:" + sleep), std::string::npos) << text;
    EXPECT_TRUE(made->key_pem.view().starts_with("-----BEGIN PRIVATE KEY-----"));
  }
}

}  // namespace
}  // namespace sallyport::ca
