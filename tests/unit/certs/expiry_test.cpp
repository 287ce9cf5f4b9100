// What runs out is told at 30, 7 and 1 days and when it is over: once each, for every certificate.
#include "certs/expiry.h"

#include <gtest/gtest.h>

#include "tests/support/test_certs.h"

namespace sallyport::certs {
namespace {

using test::day_s;
using test::hour_s;
using Lines = std::vector<std::string>;

// A vault with one certificate, issued a year ago and good for 100 days from now.
class Expiries : public testing::Test {
protected:
  static Vault vault_of(const std::string& name, const test::Issued& issued) {
    Vault vault;
    vault.entries[name].pair = KeyPair::parse(issued.chain_pem, issued.key_pem).value();
    return vault;
  }
  static std::string serial_of(const test::Issued& issued) {
    char text[32];
    std::snprintf(text, sizeof text, "%lx", issued.serial);
    return text;
  }

  const test::Authority ca_ = test::Authority::root("Root", {.valid_to_s = 3650 * day_s});
  const test::Issued issued_ =
      ca_.issue({.common_name = "c", .valid_from_s = -365 * day_s, .valid_to_s = 100 * day_s});
  const Vault vault_ = vault_of("kubernetes://a", issued_);
  const int64_t end_ = vault_.entries.at("kubernetes://a").pair->info().not_after;
  ExpiryWarnings warnings_;
};

TEST_F(Expiries, EachThresholdIsToldOnce) {
  struct Step {
    int64_t before_end_s;
    const char* text;  // nullptr: nothing is told
  };
  const Step steps[] = {
      {31 * day_s, nullptr},
      {30 * day_s, " expires in 30 days: "},
      {29 * day_s, nullptr},
      {8 * day_s, nullptr},
      {7 * day_s - hour_s, " expires in 6 days: "},
      {2 * day_s, nullptr},
      {day_s, " expires in 1 day: "},
      {hour_s, nullptr},
      {0, " has expired: "},
      {-400 * day_s, nullptr},
  };
  for (const Step& step : steps) {
    const Lines lines = warnings_.due(vault_, end_ - step.before_end_s);
    ASSERT_EQ(lines.size(), step.text ? 1u : 0u) << step.before_end_s;
    if (step.text) {
      EXPECT_NE(lines[0].find(step.text), std::string::npos) << lines[0];
    }
  }
}

TEST_F(Expiries, TheLineNamesResourceSubjectSerialAndEnd) {
  const Lines lines = warnings_.due(vault_, end_ - 5 * hour_s);
  ASSERT_EQ(lines.size(), 1u) << "and only the last threshold of those that were passed";
  const std::string line = lines[0];
  EXPECT_TRUE(line.starts_with("kubernetes://a: certificate \"CN=c\", serial " +
                               serial_of(issued_) +
                               ", expires in less than a day: it is good until 20"))
      << line;
  EXPECT_TRUE(line.ends_with("Z")) << line;
}

TEST_F(Expiries, AReplacedCertificateIsAnotherOne) {
  EXPECT_EQ(warnings_.due(vault_, end_ - day_s).size(), 1u);
  const test::Issued next =
      ca_.issue({.common_name = "c", .valid_from_s = -365 * day_s, .valid_to_s = 101 * day_s});
  EXPECT_EQ(warnings_.due(vault_of("kubernetes://a", next), end_ - day_s).size(), 1u);
  EXPECT_EQ(warnings_.due(vault_, end_ - day_s).size(), 1u) << "what left was forgotten";
}

TEST_F(Expiries, AShortLivedCertificateIsNoNewsAtItsBirth) {
  const test::Issued short_lived =
      ca_.issue({.valid_from_s = -hour_s, .valid_to_s = day_s - hour_s});
  const Vault vault = vault_of("file-cert:c~k", short_lived);
  EXPECT_TRUE(warnings_.due(vault, std::time(nullptr)).empty());
  EXPECT_EQ(warnings_.due(vault, std::time(nullptr) + day_s).size(), 1u) << "its end is";
}

TEST_F(Expiries, IntermediatesCasAndCrlsCountToo) {
  const auto intermediate =
      ca_.intermediate("Intermediate", {.valid_from_s = -365 * day_s, .valid_to_s = 50 * day_s});
  const auto leaf = intermediate.issue({.valid_from_s = -365 * day_s, .valid_to_s = 365 * day_s});
  Vault vault = vault_of("kubernetes://a", leaf);
  vault.entries["kubernetes://a-cacert"].roots =
      TrustStore::parse(ca_.pem() + intermediate.pem(), ca_.crl({}, 45 * day_s)).value();
  const auto all = expiries(vault);
  ASSERT_EQ(all.size(), 5u);
  EXPECT_STREQ(all[1].what, "certificate");
  EXPECT_EQ(all[1].subject, "CN=Intermediate");
  EXPECT_STREQ(all[3].what, "CA certificate");
  EXPECT_STREQ(all[4].what, "CRL");
  const Lines lines = warnings_.due(vault, std::time(nullptr) + 44 * day_s);
  ASSERT_EQ(lines.size(), 3u) << testing::PrintToString(lines);
  EXPECT_TRUE(lines[0].starts_with("kubernetes://a: certificate \"CN=Intermediate\", serial "));
  EXPECT_TRUE(lines[1].starts_with("kubernetes://a-cacert: CA certificate \"CN=Interm"));
  EXPECT_TRUE(lines[2].starts_with("kubernetes://a-cacert: CRL of \"CN=Root\" expires in "))
      << lines[2];
}

}  // namespace
}  // namespace sallyport::certs
