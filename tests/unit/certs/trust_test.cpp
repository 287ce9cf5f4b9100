// Sets of CAs and CRLs: what is trusted, and in which words bad ones are refused.
#include "certs/trust.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "agent/core/limits.h"
#include "tests/support/test_certs.h"

namespace sallyport::certs {
namespace {

using test::Authority;

// X509_V_OK or the error, for the first certificate of `chain_pem` with the others as untrusted
// helpers.
int verify(const TrustStore& trust, const test::Issued& issued) {
  const auto pair = KeyPair::parse(issued.chain_pem, issued.key_pem);
  EXPECT_TRUE(pair);
  STACK_OF(X509)* const helpers = sk_X509_new_null();
  for (X509* certificate : (*pair)->intermediates()) sk_X509_push(helpers, certificate);
  X509_STORE_CTX* const context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, trust.store(), (*pair)->leaf(), helpers);
  const int result = X509_verify_cert(context);
  const int error = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  sk_X509_free(helpers);
  ERR_clear_error();
  EXPECT_EQ(result == 1, error == X509_V_OK);
  return error;
}

std::shared_ptr<const TrustStore> trust(const std::string& ca, const std::string& crl = {}) {
  auto parsed = TrustStore::parse(ca, crl);
  EXPECT_TRUE(parsed) << parsed.error().context;
  return parsed ? *parsed : nullptr;
}

class Trust : public testing::Test {
protected:
  const Authority root_ = Authority::root("Root");
  const Authority intermediate_ = root_.intermediate("Intermediate");
  const Authority stranger_ = Authority::root("Stranger");
};

TEST_F(Trust, AChainEndsAtAListedRoot) {
  EXPECT_EQ(verify(*trust(root_.pem()), intermediate_.issue({})), X509_V_OK);
  EXPECT_EQ(verify(*trust(stranger_.pem()), intermediate_.issue({})),
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
}

TEST_F(Trust, EveryCertificateOfABundleCounts) {
  const auto both = trust(stranger_.pem() + "# and\n" + root_.pem());
  EXPECT_EQ(verify(*both, root_.issue({})), X509_V_OK);
  EXPECT_EQ(verify(*both, stranger_.issue({})), X509_V_OK);
  ASSERT_EQ(both->certificates().size(), 2u);
  EXPECT_EQ(both->certificates()[0].subject, "CN=Stranger");
  EXPECT_EQ(both->certificates()[1].subject, "CN=Root");
}

TEST_F(Trust, AListedIntermediateNeedsNoRootAsInEnvoy) {
  EXPECT_EQ(verify(*trust(intermediate_.pem()), intermediate_.issue({})), X509_V_OK);
  EXPECT_NE(verify(*trust(intermediate_.pem()), root_.issue({})), X509_V_OK);
}

TEST_F(Trust, ARevokedCertificateIsRefused) {
  const test::Issued good = root_.issue({}), bad = root_.issue({});
  const auto checked = trust(root_.pem(), root_.crl({bad.serial}));
  EXPECT_EQ(verify(*checked, good), X509_V_OK);
  EXPECT_EQ(verify(*checked, bad), X509_V_ERR_CERT_REVOKED);
}

TEST_F(Trust, ACrlAmongTheCasCountsToo) {
  const test::Issued bad = root_.issue({});
  EXPECT_EQ(verify(*trust(root_.pem() + root_.crl({bad.serial})), bad), X509_V_ERR_CERT_REVOKED);
}

TEST_F(Trust, WithCrlsEveryCaOfAChainNeedsOneAsInEnvoy) {
  const test::Issued bad = intermediate_.issue({}), good = intermediate_.issue({});
  const std::string of_intermediate = intermediate_.crl({bad.serial});
  EXPECT_EQ(verify(*trust(root_.pem(), of_intermediate), good), X509_V_ERR_UNABLE_TO_GET_CRL)
      << "the root has no CRL";
  EXPECT_EQ(verify(*trust(root_.pem(), root_.crl({})), good), X509_V_ERR_UNABLE_TO_GET_CRL)
      << "the intermediate has no CRL";
  const auto all = trust(root_.pem(), of_intermediate + root_.crl({}));
  EXPECT_EQ(verify(*all, good), X509_V_OK);
  EXPECT_EQ(verify(*all, bad), X509_V_ERR_CERT_REVOKED);
}

TEST_F(Trust, ARevokedIntermediateTakesWhatItIssuedWithIt) {
  const auto checked =
      trust(root_.pem(), root_.crl({intermediate_.serial()}) + intermediate_.crl({}));
  EXPECT_EQ(verify(*checked, intermediate_.issue({})), X509_V_ERR_CERT_REVOKED);
}

TEST_F(Trust, ACrlOfAStrangerVouchesForNobody) {
  EXPECT_EQ(verify(*trust(root_.pem(), stranger_.crl({})), root_.issue({})),
            X509_V_ERR_UNABLE_TO_GET_CRL);
}

TEST_F(Trust, ACrlUnderAFalseNameIsNotBelieved) {
  const Authority impostor = Authority::root("Root");
  EXPECT_EQ(verify(*trust(root_.pem(), impostor.crl({})), root_.issue({})),
            X509_V_ERR_CRL_SIGNATURE_FAILURE);
}

TEST_F(Trust, CrlsAreListedWithTheirTimes) {
  const auto listed = trust(root_.pem() + root_.crl({}), stranger_.crl({}, -60));
  ASSERT_EQ(listed->crls().size(), 2u);
  EXPECT_EQ(listed->crls()[0].issuer, "CN=Root");
  EXPECT_GT(listed->crls()[0].next_update, std::time(nullptr));
  EXPECT_EQ(listed->crls()[1].issuer, "CN=Stranger");
  EXPECT_LT(listed->crls()[1].next_update, std::time(nullptr));
  EXPECT_LT(listed->crls()[1].last_update, listed->crls()[1].next_update);
}

TEST_F(Trust, AnExpiredCrlRefusesWhatItCannotVouchFor) {
  const auto stale = trust(root_.pem(), root_.crl({}, -60));
  EXPECT_EQ(verify(*stale, root_.issue({})), X509_V_ERR_CRL_HAS_EXPIRED);
}

TEST_F(Trust, ACrlThatCannotBeUsedIsNotTakenForAnAbsentOne) {
  const auto indirect = trust(root_.pem(), root_.crl({}, test::day_s, true));
  EXPECT_EQ(verify(*indirect, root_.issue({})), X509_V_ERR_UNABLE_TO_GET_CRL);
}

TEST_F(Trust, RefusesWithAReason) {
  struct Refusal {
    const char* name;
    std::string ca, crl;
    const char* text;
  };
  const std::string ca = root_.pem();
  const Refusal cases[] = {
      {"empty CA", "", "", "CA: no certificate in the PEM text"},
      {"text that is no PEM", "hello", "", "CA: no certificate in the PEM text"},
      {"second CA cut off", ca + ca.substr(0, ca.size() - 40), "",
       "CA: block 2 of the PEM text cannot be read"},
      {"a key for a CA", root_.key_pem(), "", "CA: no certificate in the PEM text"},
      {"a CRL that is none", ca, ca, "CRL: no CRL in the PEM text"},
      {"a CRL cut off", ca, root_.crl({}).substr(0, 200), "CRL: block 1 of the PEM text cannot"},
      {"a CRL with other bytes", ca, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
       "CRL: CRL 1 of the PEM text cannot be read"},
      {"text beyond the limit", std::string(limits::pem_bytes + 1, ' '), "", "CA: longer than"},
  };
  for (const Refusal& c : cases) {
    const auto parsed = TrustStore::parse(c.ca, c.crl);
    ASSERT_FALSE(parsed) << c.name;
    EXPECT_EQ(parsed.error().fault, Fault::missing_secret) << c.name;
    EXPECT_NE(parsed.error().context.find(c.text), std::string::npos)
        << c.name << ": " << parsed.error().context;
  }
}

// The system's bundle is one a process, so its cases share one test, in this order.
TEST_F(Trust, TheSystemsBundleIsReadWhenItCanBeThenShared) {
  char directory[] = "/tmp/sallyport-trust-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/bundle.pem";
  setenv("SSL_CERT_FILE", path.c_str(), 1);

  const auto absent = TrustStore::system();
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().fault, Fault::missing_secret);
  EXPECT_NE(absent.error().context.find(path), std::string::npos) << absent.error().context;

  std::ofstream(path) << "# Root\n" << root_.pem();
  std::shared_ptr<const TrustStore> seen[4];
  std::vector<std::thread> threads;
  for (auto& mine : seen) threads.emplace_back([&mine] { mine = TrustStore::system().value(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : seen) EXPECT_EQ(mine, seen[0]);
  EXPECT_EQ(verify(*seen[0], root_.issue({})), X509_V_OK);
  EXPECT_TRUE(seen[0]->certificates().empty());

  unsetenv("SSL_CERT_FILE");
  unlink(path.c_str());
  rmdir(directory);
}

}  // namespace
}  // namespace sallyport::certs
