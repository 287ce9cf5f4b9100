// Which of the configured versions, cipher suites and curves can be had.
#include "tls/parameters.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

namespace sallyport::tls {
namespace {

using Names = std::vector<std::string>;

TEST(Versions, AreNamedAsARange) {
  EXPECT_EQ(versions_text(Version::tls_1_3, Version::tls_1_3), "TLS 1.3");
  EXPECT_EQ(versions_text(Version::tls_1_2, Version::tls_1_3), "TLS 1.2 and 1.3");
  EXPECT_EQ(versions_text(Version::tls_1_0, Version::tls_1_2), "TLS 1.0 to 1.2");
  EXPECT_EQ(versions_text(Version::tls_1_0, Version::tls_1_0), "TLS 1.0");
}

TEST(AvailableCiphers, LeavesOutWhatThisOpensslHasNot) {
  const auto found = available_ciphers(
      {"ECDHE-RSA-AES256-SHA", "DES-CBC3-SHA", "AES128-SHA", "ECDHE-RSA-NOTHING"});
  ASSERT_TRUE(found) << found.error().context;
  EXPECT_EQ(found->list, "ECDHE-RSA-AES256-SHA:AES128-SHA");
  EXPECT_EQ(found->missing, (Names{"DES-CBC3-SHA", "ECDHE-RSA-NOTHING"}));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(AvailableCiphers, HasEverySuiteThatIstioKnowsButTripleDes) {
  const Names istio = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                       "ECDHE-RSA-AES128-GCM-SHA256",
                       "ECDHE-ECDSA-AES256-GCM-SHA384",
                       "ECDHE-RSA-AES256-GCM-SHA384",
                       "ECDHE-ECDSA-CHACHA20-POLY1305",
                       "ECDHE-RSA-CHACHA20-POLY1305",
                       "ECDHE-ECDSA-AES128-SHA",
                       "ECDHE-RSA-AES128-SHA",
                       "ECDHE-ECDSA-AES256-SHA",
                       "ECDHE-RSA-AES256-SHA",
                       "AES128-GCM-SHA256",
                       "AES256-GCM-SHA384",
                       "AES128-SHA",
                       "AES256-SHA"};
  const auto found = available_ciphers(istio);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->missing, Names{});
}

TEST(AvailableCiphers, TakesWordsWithOperators) {
  const auto found = available_ciphers({"ALL", "-AES128-SHA", "!AES256-SHA", "-NOTHING"});
  ASSERT_TRUE(found) << found.error().context;
  EXPECT_EQ(found->list, "ALL:-AES128-SHA:!AES256-SHA");
  EXPECT_EQ(found->missing, Names{"-NOTHING"});
}

TEST(AvailableCiphers, TakesNoCommandsAndNoListsInOneName) {
  const auto found = available_ciphers({"AES128-SHA", "@SECLEVEL=0", "AES256-SHA:@SECLEVEL=0",
                                        "[AES128-SHA|AES256-SHA]", "", "-", "AES256-SHA "});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->list, "AES128-SHA");
  EXPECT_EQ(found->missing.size(), 6u);
}

TEST(AvailableCiphers, NoneLeftIsAnError) {
  for (const Names& names : {Names{"DES-CBC3-SHA"}, Names{"ALL", "!ALL"}, Names{"!AES128-SHA"}}) {
    const auto found = available_ciphers(names);
    ASSERT_FALSE(found) << found->list;
    EXPECT_EQ(found.error().side, Side::local);
    EXPECT_NE(found.error().context.find("none of the cipher suites [" + names[0]),
              std::string::npos)
        << found.error().context;
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

TEST(AvailableCiphers, NoNamesAreNoList) {
  const auto found = available_ciphers({});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->list, "");
}

TEST(AvailableCurves, LeavesOutWhatThisOpensslHasNot) {
  const auto found = available_curves({"NOTHING", "X25519", "P-256", "P-256:P-384", "P-521"});
  ASSERT_TRUE(found) << found.error().context;
  EXPECT_EQ(found->list, "X25519:P-256:P-521");
  EXPECT_EQ(found->missing, (Names{"NOTHING", "P-256:P-384"}));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(AvailableCurves, TakesEachOnce) {
  const auto found = available_curves({"P-256", "P-256", "X25519"});
  ASSERT_TRUE(found) << found.error().context;
  EXPECT_EQ(found->list, "P-256:X25519");
  EXPECT_EQ(found->missing, Names{});
}

TEST(AvailableCurves, NoneLeftIsAnError) {
  const auto found = available_curves({"NOTHING"});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().context, "none of the curves [NOTHING] is available");
}

}  // namespace
}  // namespace sallyport::tls
