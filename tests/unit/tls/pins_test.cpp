// Pins of certificates: what is taken, and in which words the rest is refused.
#include "tls/pins.h"

#include <gtest/gtest.h>

#include "certs/describe.h"
#include "certs/key_pair.h"
#include "tests/support/test_certs.h"

namespace sallyport::tls {
namespace {

// `printf abc | openssl sha256` (FIPS 180-2's first example).
constexpr std::string_view abc_hexadecimal =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view abc_base64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

TEST(Pins, OneDigestHasTwoSpellings) {
  const auto spki = parse_spki_pin(abc_base64);
  const auto certificate = parse_certificate_pin(abc_hexadecimal);
  ASSERT_TRUE(spki && certificate);
  EXPECT_EQ(*spki, *certificate);
  EXPECT_EQ(certs::hexadecimal(*spki), abc_hexadecimal);
  EXPECT_EQ(spki_pin_text(*certificate), abc_base64);
}

TEST(Pins, ACertificatesMayBeAsOpensslPrintsIt) {
  std::string printed;
  for (std::size_t i = 0; i < abc_hexadecimal.size(); i += 2) {
    if (i) printed += ':';
    for (const char c : abc_hexadecimal.substr(i, 2))
      printed += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  const auto pin = parse_certificate_pin(printed);
  ASSERT_TRUE(pin) << pin.error().context;
  EXPECT_EQ(certs::hexadecimal(*pin), abc_hexadecimal);
}

TEST(Pins, OfAnotherFormAreRefused) {
  std::string misplaced(abc_hexadecimal);
  for (int i = 0; i < 31; ++i) misplaced.insert(2, ":");
  const std::string digits(63, 'a');
  std::string dashed = "aa";
  for (int i = 0; i < 31; ++i) dashed += "-aa";
  for (const std::string& bad :
       {std::string(), std::string("fedcba"), digits, digits + "g", digits + "aa", misplaced,
        digits + "\n", std::string(95, ':'), dashed, std::string(abc_base64)}) {
    const auto pin = parse_certificate_pin(bad);
    EXPECT_FALSE(pin) << bad;
  }
  std::string loose_bits(abc_base64);
  loose_bits[42] = '1';  // '0' with one of the two bits that no byte has
  for (const std::string& bad :
       {std::string(), std::string("abcdef"), std::string(44, 'A'), std::string(43, 'A'),
        " " + std::string(abc_base64.substr(0, 43)), std::string(abc_base64) + "=",
        std::string(42, 'A') + "==", std::string(43, '-') + "=", loose_bits,
        std::string(abc_hexadecimal)}) {
    const auto pin = parse_spki_pin(bad);
    EXPECT_FALSE(pin) << bad;
  }
}

TEST(Pins, ARefusalShowsWhatWasWritten) {
  EXPECT_EQ(parse_certificate_pin("fed\ncba").error().context,
            "'fed\\x0acba' is no SHA-256 in hexadecimal: 64 digits, or with a colon between every "
            "two");
  EXPECT_EQ(parse_spki_pin("abcdef").error().context,
            "'abcdef' is no SHA-256 in base64: 44 characters, the last of them '='");
}

TEST(Pins, AreOfTheKeyAndOfTheWholeCertificate) {
  const auto ca = test::Authority::root("Root");
  const auto issued = ca.issue({}), other = ca.issue({});
  const auto pair = certs::KeyPair::parse(issued.chain_pem, issued.key_pem).value();
  const auto stranger = certs::KeyPair::parse(other.chain_pem, other.key_pem).value();
  // Of an EC P-256 key the SPKI is 91 bytes, as `openssl pkey -pubout -outform DER` writes it.
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(pair->key(), &der);
  ASSERT_EQ(size, 91);
  Sha256 expected;
  EVP_Digest(der, static_cast<std::size_t>(size), expected.data(), nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  EXPECT_EQ(spki_sha256(*pair->leaf()), expected);
  EXPECT_NE(spki_sha256(*stranger->leaf()), expected);
  EXPECT_NE(certificate_sha256(*pair->leaf()), spki_sha256(*pair->leaf()));
  EXPECT_NE(certificate_sha256(*pair->leaf()), certificate_sha256(*stranger->leaf()));
}

}  // namespace
}  // namespace sallyport::tls
