// Text about certificates: safe for a log, whatever the certificate holds.
#include "certs/describe.h"

#include <gtest/gtest.h>

#include "certs/vault.h"
#include "tests/support/test_certs.h"

namespace sallyport::certs {
namespace {

TEST(Describe, DatesAreDaysInUtc) {
  EXPECT_EQ(date_text(0), "1970-01-01");
  EXPECT_EQ(date_text(1704153599), "2024-01-01");
  EXPECT_EQ(date_text(1704153600), "2024-01-02");
}

TEST(Describe, PrintableLeavesNothingThatBreaksALogLine) {
  EXPECT_EQ(printable("a.example.com", 100), "a.example.com");
  EXPECT_EQ(printable("a\nb\r\x1b[0m", 100), "a\\x0ab\\x0d\\x1b[0m");
  EXPECT_EQ(printable(std::string_view("a\0b", 3), 100), "a\\x00b");
  EXPECT_EQ(printable("\xc3\xa9", 100), "\\xc3\\xa9");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

TEST(Describe, BytesAreHexadecimalInLowerCase) {
  const unsigned char bytes[] = {0x00, 0x9a, 0xff};
  EXPECT_EQ(hexadecimal(bytes), "009aff");
}

TEST(Describe, ASubjectCannotForgeALine) {
  const auto issued = test::Authority::root("Root").issue({.common_name = "a\nb\xc3\xa9,O=x"});
  const auto pair = KeyPair::parse(issued.chain_pem, issued.key_pem);
  ASSERT_TRUE(pair);
  EXPECT_EQ((*pair)->info().subject, "CN=a\\0Ab\\C3\\A9\\,O=x");
}

TEST(Vault, FindsSecretsByTheirIstioName) {
  Vault vault;
  vault.entries["kubernetes://client"].problem = "no such Secret";
  ASSERT_NE(vault.find("kubernetes://client"), nullptr);
  EXPECT_FALSE(vault.find("kubernetes://client")->active());
  EXPECT_EQ(vault.find("kubernetes://other"), nullptr);
}

}  // namespace
}  // namespace sallyport::certs
