// A certificate chain with its key: what is taken, and in which words the rest is refused.
#include "certs/key_pair.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "agent/core/limits.h"
#include "tests/support/test_certs.h"

namespace sallyport::certs {
namespace {

const test::Authority& root() {
  static const test::Authority authority = test::Authority::root("Test Root");
  return authority;
}

const test::Authority& intermediate() {
  static const test::Authority authority = root().intermediate("Test Intermediate");
  return authority;
}

const test::Issued& leaf() {
  static const test::Issued issued = intermediate().issue({.common_name = "client.example.com",
                                                           .dns = {"client.example.com"},
                                                           .uris = {"spiffe://td/ns/a/sa/b"},
                                                           .ips = {"10.0.0.1", "2001:db8::1"},
                                                           .emails = {"ops@example.com"}});
  return issued;
}

TEST(KeyPair, HoldsLeafIntermediatesAndKey) {
  const auto pair = KeyPair::parse(leaf().chain_pem, leaf().key_pem);
  ASSERT_TRUE(pair) << pair.error().context;
  EXPECT_EQ(X509_check_private_key((*pair)->leaf(), (*pair)->key()), 1);
  ASSERT_EQ((*pair)->intermediates().size(), 1u);
  EXPECT_EQ(X509_check_issued((*pair)->intermediates()[0], (*pair)->leaf()), X509_V_OK);
  EXPECT_EQ(ERR_peek_error(), 0u) << "the next user of this thread's queue would be blamed";
}

TEST(KeyPair, TellsWhatTheLeafSays) {
  const auto pair = KeyPair::parse(leaf().chain_pem, leaf().key_pem);
  ASSERT_TRUE(pair);
  const CertificateInfo& info = (*pair)->info();
  EXPECT_EQ(info.subject, "CN=client.example.com");
  EXPECT_EQ(info.issuer, "CN=Test Intermediate");
  char serial[32];
  std::snprintf(serial, sizeof serial, "%lx", leaf().serial);
  EXPECT_EQ(info.serial, serial);
  EXPECT_NEAR(static_cast<double>(info.not_after), static_cast<double>(leaf().not_after), 2);
  EXPECT_LT(info.not_before, info.not_after);
  EXPECT_EQ(info.dns_names, std::vector<std::string>{"client.example.com"});
  EXPECT_EQ(info.uris, std::vector<std::string>{"spiffe://td/ns/a/sa/b"});
  EXPECT_EQ(info.ips, (std::vector<std::string>{"10.0.0.1", "2001:db8::1"}));
  EXPECT_EQ(info.emails, std::vector<std::string>{"ops@example.com"});
}

TEST(KeyPair, EachParsingHasItsOwnId) {
  const auto one = KeyPair::parse(leaf().chain_pem, leaf().key_pem);
  const auto two = KeyPair::parse(leaf().chain_pem, leaf().key_pem);
  ASSERT_TRUE(one && two);
  EXPECT_NE((*one)->id(), (*two)->id());
}

TEST(KeyPair, TakesTextAroundTheBlocks) {
  const std::string chain =
      "subject=CN = client\nissuer=...\n" + leaf().chain_pem + "\ntrailing text\n";
  EXPECT_TRUE(KeyPair::parse(chain, "Bag Attributes\n" + leaf().key_pem));
}

TEST(KeyPair, TakesOneFileWithKeyAndChain) {
  const std::string both = leaf().key_pem + leaf().chain_pem;
  const auto pair = KeyPair::parse(both, both);
  ASSERT_TRUE(pair) << pair.error().context;
  EXPECT_EQ((*pair)->intermediates().size(), 1u);
}

// As `openssl ecparam -genkey` and `openssl genrsa -traditional` write them.
TEST(KeyPair, TakesTraditionalKeysWithAndWithoutParameters) {
  for (const bool rsa : {false, true}) {
    const test::Issued issued = root().issue({.rsa = rsa});
    const test::detail::Bio in(
        BIO_new_mem_buf(issued.key_pem.data(), static_cast<int>(issued.key_pem.size())));
    const test::detail::Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr),
                                EVP_PKEY_free);
    const test::detail::Bio out(BIO_new(BIO_s_mem()));
    if (!rsa)  // P-256's OID, DER 06 08 2a8648ce3d030107
      BIO_puts(out.get(),
               "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
               "-----END EC PARAMETERS-----\n");
    PEM_write_bio_PrivateKey_traditional(out.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                         nullptr);
    const auto pair = KeyPair::parse(issued.chain_pem, test::detail::text_of(out.get()));
    EXPECT_TRUE(pair) << (rsa ? "RSA: " : "EC: ") << pair.error().context;
  }
}

TEST(KeyPair, TakesRsaEcAndEd25519) {
  using test::KeyKind;
  for (const KeyKind kind : {KeyKind::rsa, KeyKind::ec, KeyKind::ed25519}) {
    const test::Issued issued = root().issue({.kind = kind});
    const auto pair = KeyPair::parse(issued.chain_pem, issued.key_pem);
    EXPECT_TRUE(pair) << static_cast<int>(kind) << ": " << pair.error().context;
  }
}

TEST(KeyPair, TakesLinesThatEndAsOnWindows) {
  const auto with_cr = [](const std::string& text) {
    std::string out;
    for (const char c : text) out += c == '\n' ? std::string("\r\n") : std::string(1, c);
    return out;
  };
  const auto pair = KeyPair::parse(with_cr(leaf().chain_pem), with_cr(leaf().key_pem));
  ASSERT_TRUE(pair) << pair.error().context;
  EXPECT_EQ((*pair)->certificates().size(), 2u);
}

TEST(KeyPair, TakesAChainOfFiftyAndDescribesEachOfIt) {
  std::string chain = leaf().chain_pem;
  for (int i = 2; i < 50; ++i) chain += intermediate().pem();
  const auto pair = KeyPair::parse(chain, leaf().key_pem);
  ASSERT_TRUE(pair) << pair.error().context;
  EXPECT_EQ((*pair)->intermediates().size(), 49u);
  ASSERT_EQ((*pair)->certificates().size(), 50u);
  EXPECT_EQ((*pair)->certificates()[0].subject, "CN=client.example.com");
  EXPECT_EQ((*pair)->certificates()[49].subject, "CN=Test Intermediate");
}

struct Refusal {
  const char* name;
  std::string chain, key;
  const char* text;  // part of the error
};

TEST(KeyPair, RefusesWithAReason) {
  const test::Issued other = root().issue({.common_name = "other"});
  const std::string& chain = leaf().chain_pem;
  const std::string& key = leaf().key_pem;
  const std::size_t second = chain.find("-----BEGIN", 1);
  std::string broken = chain;
  broken.replace(broken.find("MII", second), 8, "AAAAAAAA");
  std::string many;
  for (std::size_t i = 0; i <= limits::certificates_per_chain; ++i) many += root().pem();
  const Refusal cases[] = {
      {"empty chain", "", key, "certificate chain: no certificate in the PEM text"},
      {"text that is no PEM", "hello", key, "certificate chain: no certificate in the PEM text"},
      {"a key where the chain should be", key, key, "certificate chain: no certificate"},
      {"chain cut off in the middle", chain.substr(0, chain.size() - 60), key,
       "certificate chain: block 2 of the PEM text cannot be read"},
      {"second certificate broken", broken, key, "certificate chain: certificate 2 of the PEM"},
      {"empty key", chain, "", "private key: no private key in the PEM text"},
      {"a certificate where the key should be", chain, chain, "private key: no private key"},
      {"key cut off", chain, key.substr(0, key.size() - 60), "private key: cannot be read"},
      {"encrypted key", chain, test::encrypted(key), "private key: it is encrypted"},
      {"key of another certificate", chain, other.key_pem,
       "private key: does not match the certificate (subject \"CN=client.example.com\")"},
      {"issuer before the leaf", chain.substr(second) + chain.substr(0, second), key,
       "the leaf must come first: the private key belongs to certificate 2 (subject "
       "\"CN=client.example.com\")"},
      {"more certificates than a chain may have", chain + many, key, "more than 101 certificates"},
      {"text beyond the limit", std::string(limits::pem_bytes + 1, ' '), key, "longer than"},
      {"key text beyond the limit", chain, std::string(limits::pem_bytes + 1, ' '), "longer than"},
  };
  for (const Refusal& c : cases) {
    const auto pair = KeyPair::parse(c.chain, c.key);
    ASSERT_FALSE(pair) << c.name;
    EXPECT_EQ(pair.error().fault, Fault::missing_secret) << c.name;
    EXPECT_NE(pair.error().context.find(c.text), std::string::npos)
        << c.name << ": " << pair.error().context;
    EXPECT_EQ(ERR_peek_error(), 0u) << c.name;
  }
}

TEST(KeyPair, NoRefusalShowsTheKey) {
  const std::string& key = leaf().key_pem;
  const std::string body = key.substr(key.find('\n') + 1, 40);
  const std::string cut = key.substr(0, key.size() - 60);
  for (const auto& [chain, given] : {std::pair{leaf().chain_pem, cut}, {cut, cut}, {key, key}}) {
    const auto pair = KeyPair::parse(chain, given);
    ASSERT_FALSE(pair);
    EXPECT_EQ(pair.error().context.find(body.substr(0, 12)), std::string::npos);
  }
}

}  // namespace
}  // namespace sallyport::certs
