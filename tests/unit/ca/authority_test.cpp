// What a CA signs, and what it refuses.
#include "certs/ca/authority.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "certs/ca/identity_check.h"
#include "certs/ca/signing_request.h"
#include "certs/describe.h"
#include "certs/expiry.h"
#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"
#include "tls/verify.h"

namespace sallyport::ca {
namespace {

using namespace std::chrono_literals;

const std::string sleep = "spiffe://cluster.local/ns/default/sa/sleep";
const auto now = [] { return static_cast<int64_t>(std::time(nullptr)); };

std::shared_ptr<const Authority> self_signed(const std::string& directory = "") {
  auto made = Authority::self_signed("cluster.local", directory);
  EXPECT_TRUE(made) << made.error().context;
  return *made;
}

std::string joined(const std::vector<std::string>& chain) {
  std::string text;
  for (const auto& one : chain) text += one;
  return text;
}

// "taken", or why a client of this CA would not take what it signed.
std::string judged(const Authority& authority, const SigningRequest& request,
                   const IssuedCertificate& issued) {
  const auto roots = certs::TrustStore::parse(authority.roots_pem());
  const auto pair =
      check_identity({joined(issued.chain), SecretText(std::string(request.key_pem.view())),
                      authority.roots_pem(), sleep},
                     **roots, now());
  return pair ? "taken" : pair.error().context;
}

std::string text_of(const std::string& pem) {
  const test::detail::Bio in(BIO_new_mem_buf(pem.data(), -1)), out(BIO_new(BIO_s_mem()));
  const std::unique_ptr<X509, test::detail::FreeBy<X509_free>> certificate(
      PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  X509_print(out.get(), certificate.get());
  return test::detail::text_of(out.get());
}

TEST(Authority, SignsAWorkloadsKeyAsIstiodDoes) {
  const auto authority = self_signed();
  const auto request = make_signing_request(sleep, KeyKind::ec_p256);
  const auto issued = authority->sign(request->csr_pem, sleep, 1h, now());
  ASSERT_TRUE(issued) << issued.error().context;
  EXPECT_EQ(judged(*authority, *request, *issued), "taken");
  EXPECT_EQ(issued->chain.size(), 1u);
  EXPECT_NEAR(double(issued->not_after), double(now() + 3600), 2);
  const std::string text = text_of(issued->chain[0]);
  for (const char* part :
       {"Subject Alternative Name: critical\n                "
        "URI:spiffe://cluster.local/ns/default/sa/sleep",
        "Key Usage: critical\n                Digital Signature, Key Encipherment",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "Basic Constraints: critical\n                CA:FALSE", "Authority Key Identifier",
        "Subject: \n"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST(Authority, NamesThePlugInFileThatIsWrong) {
  const test::TemporaryDirectory files;
  const auto root = test::Authority::root("Root"), other = test::Authority::root("Other");
  const auto reason = [&] {
    const auto authority = Authority::load(files.path());
    return authority ? "loaded" : authority.error().context.substr(files.path().size());
  };
  files.write("ca-cert.pem", "no PEM");
  files.write("ca-key.pem", root.key_pem());
  EXPECT_TRUE(reason().starts_with("/ca-cert.pem: ")) << reason();
  files.write("ca-cert.pem", other.pem());
  EXPECT_TRUE(reason().starts_with("/ca-key.pem: ")) << reason();
  files.write("ca-cert.pem", root.pem());
  files.write("cert-chain.pem", "no PEM");
  EXPECT_TRUE(reason().starts_with("/cert-chain.pem: ")) << reason();
  files.write("cert-chain.pem", "\n");
  files.write("root-cert.pem", other.pem());
  EXPECT_TRUE(reason().starts_with("/ca-cert.pem: its own roots do not verify")) << reason();
  files.write("root-cert.pem", root.pem());
  EXPECT_EQ(reason(), "loaded");
}

TEST(Authority, NeverOutlivesItself) {
  const test::TemporaryDirectory files;
  const auto root = test::Authority::root("Short Root", {.valid_to_s = 600});
  files.write("ca-cert.pem", root.pem());
  files.write("ca-key.pem", root.key_pem());
  const auto authority = Authority::load(files.path());
  ASSERT_TRUE(authority) << authority.error().context;
  const auto request = make_signing_request(sleep, KeyKind::ec_p256);
  const auto issued = (*authority)->sign(request->csr_pem, sleep, 24h, now());
  ASSERT_TRUE(issued);
  EXPECT_LE(issued->not_after, now() + 600);
  const auto late = (*authority)->sign(request->csr_pem, sleep, 24h, now() + 700);
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().context.find("the CA's own certificate expired"), std::string::npos);
}

// The same root with the same key, good for `seconds`.
std::string renewed(const test::Authority& root, long seconds) {
  const std::string pem = root.pem(), key_pem = root.key_pem();
  const test::detail::Bio in(BIO_new_mem_buf(pem.data(), -1));
  const test::detail::Bio key_in(BIO_new_mem_buf(key_pem.data(), -1));
  const test::detail::Certificate one(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr),
                                      X509_free);
  const test::detail::Key key(PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr),
                              EVP_PKEY_free);
  X509_gmtime_adj(X509_getm_notAfter(one.get()), seconds);
  X509_sign(one.get(), key.get(), EVP_sha256());
  return test::detail::pem_of(one.get());
}

TEST(Authority, NorItsRoot) {
  const auto root = test::Authority::root("Root", {.valid_to_s = 600});
  const auto issuing = root.intermediate("Issuing");
  const std::pair<std::string, int> roots[] = {{root.pem(), 600},
                                               {root.pem() + renewed(root, 1200), 1200}};
  for (const auto& [pem, end] : roots) {
    const test::TemporaryDirectory files;
    files.write("ca-cert.pem", issuing.pem());
    files.write("ca-key.pem", issuing.key_pem());
    files.write("cert-chain.pem", issuing.pem() + root.pem());
    files.write("root-cert.pem", pem);
    const auto authority = Authority::load(files.path());
    ASSERT_TRUE(authority) << authority.error().context;
    const auto request = make_signing_request(sleep, KeyKind::ec_p256);
    const auto issued = (*authority)->sign(request->csr_pem, sleep, 24h, now());
    ASSERT_TRUE(issued);
    EXPECT_NEAR(double(issued->not_after), double(now() + end), 5);
  }
}

TEST(Authority, AnIntermediateIsPartOfTheChainAndAllRootsAreGiven) {
  const test::TemporaryDirectory files;
  const auto root = test::Authority::root("Root"), next = test::Authority::root("Next Root");
  const auto middle = root.intermediate("Middle");
  const auto issuing = middle.intermediate("Issuing");
  files.write("ca-cert.pem", issuing.pem());
  files.write("ca-key.pem", issuing.key_pem());
  files.write("cert-chain.pem", issuing.pem() + middle.pem() + root.pem());
  files.write("root-cert.pem", root.pem() + next.pem());
  const auto authority = Authority::load(files.path());
  ASSERT_TRUE(authority) << authority.error().context;
  const auto request = make_signing_request(sleep, KeyKind::rsa_2048);
  const auto issued = (*authority)->sign(request->csr_pem, sleep, 1h, now());
  ASSERT_TRUE(issued) << issued.error().context;
  ASSERT_EQ(issued->chain.size(), 3u);
  EXPECT_EQ(issued->chain[1], issuing.pem());
  EXPECT_EQ(issued->chain[2], middle.pem());
  EXPECT_EQ((*authority)->roots_pem(), root.pem() + next.pem());
  EXPECT_EQ(judged(**authority, *request, *issued), "taken");
}

// Workloads' certificates have an empty subject, and live for hours.
TEST(Authority, WhatItSignedIsNamedByItsUriWhenItHasExpired) {
  const auto authority = self_signed();
  const auto request = make_signing_request(sleep, KeyKind::ec_p256);
  const int64_t end = now() - 60;
  const auto issued = (*authority).sign(request->csr_pem, sleep, 1h, end - 3600);
  ASSERT_TRUE(issued);
  const auto pair = certs::KeyPair::parse(joined(issued->chain), request->key_pem.view());
  ASSERT_TRUE(pair);
  const std::unique_ptr<X509_STORE_CTX, test::detail::FreeBy<X509_STORE_CTX_free>> verification(
      X509_STORE_CTX_new());
  X509_STORE_CTX_init(verification.get(), authority->roots().store(), (*pair)->leaf(), nullptr);
  ASSERT_NE(X509_verify_cert(verification.get()), 1);
  EXPECT_EQ(tls::chain_failure(*verification),
            "certificate expired on " + certs::time_text(end) + ": URI SAN \"" + sleep + "\"");
  certs::Vault vault;
  vault.entries[certs::identity_name].pair = *pair;
  EXPECT_EQ(certs::expiries(vault).front().subject, sleep);
}

struct BadRequest {
  const char* name;
  std::string csr;
  const char* reason;
};

std::string bent(std::string pem) {  // a bit of the signature
  const auto at = pem.find("-----END") - 8;
  pem[at] = pem[at] == 'A' ? 'B' : 'A';
  return pem;
}

std::string weak_request() {
  EVP_PKEY* key = EVP_RSA_gen(1024);
  X509_REQ* request = X509_REQ_new();
  X509_REQ_set_pubkey(request, key);
  X509_REQ_sign(request, key, EVP_sha256());
  const test::detail::Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request);
  X509_REQ_free(request);
  EVP_PKEY_free(key);
  return test::detail::text_of(bio.get());
}

TEST(Authority, RefusesARequestWithItsReason) {
  const auto authority = self_signed();
  const BadRequest bad[] = {
      {"nothing", "", "no PKCS#10 request"},
      {"garbage", "garbage", "no PKCS#10 request"},
      {"a certificate", authority->roots_pem(), "no PKCS#10 request"},
      {"another id",
       make_signing_request("spiffe://cluster.local/ns/default/sa/admin", KeyKind::ec_p256)
           ->csr_pem,
       "asks for spiffe://cluster.local/ns/default/sa/admin, the caller is "
       "spiffe://cluster.local/ns/default/sa/sleep"},
      {"a key that did not sign it", bent(make_signing_request(sleep, KeyKind::ec_p256)->csr_pem),
       "not signed by its own key"},
      {"a weak key", weak_request(), "too weak"},
  };
  for (const auto& c : bad) {
    const auto issued = authority->sign(c.csr, sleep, 1h, now());
    ASSERT_FALSE(issued) << c.name;
    EXPECT_EQ(issued.error().fault, Fault::protocol) << c.name;
    EXPECT_NE(issued.error().context.find(c.reason), std::string::npos) << issued.error().context;
  }
}

TEST(Authority, ASelfSignedOneIsKeptWithItsKeyForItsOwnerAlone) {
  const test::TemporaryDirectory files;
  const std::string directory = files.path("ca");
  const auto first = self_signed(directory);
  EXPECT_EQ(self_signed(directory)->roots_pem(), first->roots_pem());
  struct stat status {};
  ASSERT_EQ(::stat((directory + "/ca-key.pem").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_NE(self_signed()->roots_pem(), self_signed()->roots_pem());
}

TEST(Authority, AStartThatWasCutOffIsCompletedByTheNext) {
  const test::TemporaryDirectory files;
  const std::string directory = files.path("ca");
  const auto first = self_signed(directory);
  files.remove("ca/root-cert.pem");  // cut off before the last file
  EXPECT_EQ(self_signed(directory)->roots_pem(), first->roots_pem());
  EXPECT_TRUE(std::filesystem::exists(directory + "/root-cert.pem"));

  files.remove("ca/root-cert.pem");  // before the second, with half of it written
  files.remove("ca/ca-cert.pem");
  files.write("ca/.ca-cert.pem.new", first->roots_pem().substr(0, 100));
  const auto next = self_signed(directory);
  EXPECT_NE(next->roots_pem(), first->roots_pem());
  EXPECT_EQ(self_signed(directory)->roots_pem(), next->roots_pem());

  files.remove("ca");  // before the first
  files.write("ca/.ca-key.pem.new", "-----BEGIN");
  EXPECT_TRUE(Authority::self_signed("cluster.local", directory));
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
}

TEST(Authority, ASelfSignedOneNeverReplacesWhatIsThere) {
  const auto root = test::Authority::root("Root");
  for (const char* name : {"ca-cert.pem", "root-cert.pem"}) {  // whose key may come back
    const test::TemporaryDirectory files;
    files.write(name, root.pem());
    const auto made = Authority::self_signed("cluster.local", files.path());
    ASSERT_FALSE(made) << name;
    std::ifstream stream(files.path(name));
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), root.pem());
  }
}

TEST(Authority, FilesThatDoNotFitAreNamed) {
  const auto root = test::Authority::root("Root"), other = test::Authority::root("Other");
  const auto leaf = root.issue({});
  struct Files {
    const char* name;
    std::string cert, key, roots;
    const char* reason;
  };
  const Files bad[] = {
      {"another's key", root.pem(), other.key_pem(), root.pem(), "key"},
      {"a leaf", leaf.chain_pem, leaf.key_pem, root.pem(), "not a CA's certificate"},
      {"roots that did not sign it", root.intermediate("I").pem(), root.intermediate("I").key_pem(),
       other.pem(), ""},
      {"expired", test::Authority::root("Old", {.valid_to_s = -5}).pem(), "", root.pem(), ""},
      {"roots that are none", root.pem(), root.key_pem(), "x", "root-cert.pem"},
  };
  for (const auto& c : bad) {
    const test::TemporaryDirectory files;
    files.write("ca-cert.pem", c.cert);
    files.write("ca-key.pem", c.key);
    files.write("root-cert.pem", c.roots);
    const auto authority = Authority::load(files.path());
    ASSERT_FALSE(authority) << c.name;
    EXPECT_NE(authority.error().context.find(c.reason), std::string::npos)
        << c.name << ": " << authority.error().context;
    EXPECT_NE(authority.error().context.find(files.path()), std::string::npos) << c.name;
  }
}

}  // namespace
}  // namespace sallyport::ca
