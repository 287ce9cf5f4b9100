// Secrets that rules name: in the right place, with the right keys, valid, belonging together.
#include <ctime>

#include "tests/support/indented.h"
#include "tests/support/test_certs.h"
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

constexpr const char* mutual = R"(apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: [api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  workloadSelector: {matchLabels: {app: sleep}}
  host: api.example.com
  trafficPolicy:
    tls:
      mode: MUTUAL
      credentialName: client
)";

using test::indented;

struct Contents {
  std::string certificate, key, ca;
  std::string name = "client", name_space = "default";
  std::string crl = "";
};
// Line 5 is stringData.
std::string secret(const Contents& contents) {
  std::string out = "apiVersion: v1\nkind: Secret\nmetadata: {name: " + contents.name +
                    ", namespace: " + contents.name_space + "}\ntype: Opaque\nstringData:\n";
  const auto add = [&](const char* key, const std::string& pem) {
    if (!pem.empty()) out += std::string("  ") + key + ": |\n" + indented(pem) + "\n";
  };
  add("tls.crt", contents.certificate);
  add("tls.key", contents.key);
  add("ca.crt", contents.ca);
  add("ca.crl", contents.crl);
  return out + "  note: x\n";
}

class Credentials : public testing::Test {
protected:
  // Certificates are made for the machine's clock.
  std::vector<Finding> with(const std::string& text) {
    return analysis_of({{"rules.yaml", mutual}, {"secret.yaml", text}}, std::time(nullptr));
  }
  void expect(const std::string& text, const char* code, const char* file, int line,
              const char* cause, const char* cure) {
    const auto findings = with(text);
    ASSERT_EQ(findings.size(), 1u) << listed(findings);
    const auto& one = findings.front();
    EXPECT_EQ(one.code->id, code);
    EXPECT_EQ(one.file, file);
    EXPECT_EQ(one.line, line);
    EXPECT_TRUE(has(one.message, cause)) << one.message;
    EXPECT_TRUE(has(one.cure, cure)) << one.cure;
  }
  const test::Authority ca_ = test::Authority::root("Root", {.valid_to_s = 400 * test::day_s});
  test::Issued issue(long from_s, long to_s) {
    return ca_.issue({.common_name = "client", .valid_from_s = from_s, .valid_to_s = to_s});
  }
  const test::Issued good_ = issue(-test::hour_s, 300 * test::day_s);
};

TEST_F(Credentials, AGoodPairWithItsCaIsNothingToSay) {
  const auto findings = with(secret({good_.chain_pem, good_.key_pem, ca_.pem()}));
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST_F(Credentials, TheCaMayLieInItsOwnSecret) {
  const auto findings = with(secret({good_.chain_pem, good_.key_pem, ""}) + "---\n" +
                             secret({.ca = ca_.pem(), .name = "client-cacert"}));
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST_F(Credentials, WithoutAnySecretAmongTheFilesItIsSaidThatNoneWasLookedAt) {
  const auto findings = analysis_of({{"rules.yaml", mutual}});
  ASSERT_EQ(findings.size(), 1u) << listed(findings);
  EXPECT_EQ(findings[0].code->id, "SLP0310");
  EXPECT_EQ(findings[0].code->level, Level::info);
}

TEST_F(Credentials, AMissingSecretIsNamed) {
  expect(secret({.certificate = good_.chain_pem, .name = "other"}), "IST0101", "rules.yaml", 18,
         "Referenced credentialName not found: \"client\"", "in namespace default");
}

TEST_F(Credentials, ASecretOfAnotherNamespaceDoesNotCount) {
  expect(secret({good_.chain_pem, good_.key_pem, ca_.pem(), "client", "mesh-external"}), "SLP0302",
         "rules.yaml", 18, "is in namespace mesh-external", "create it in namespace default");
}

TEST_F(Credentials, MutualNeedsAPair) {
  expect(secret({.ca = ca_.pem()}), "SLP0303", "secret.yaml", 1, "there is ca.crt, note",
         "tls.crt and tls.key");
}

TEST_F(Credentials, VerifyingNeedsACa) {
  expect(secret({good_.chain_pem, good_.key_pem, ""}), "SLP0304", "secret.yaml", 1,
         "every server is refused", "ca.crt");
}

TEST_F(Credentials, AnExpiredCertificateIsNamedWithItsDay) {
  const auto old = issue(-3 * test::day_s, -test::day_s);
  expect(secret({old.chain_pem, old.key_pem, ca_.pem()}), "SLP0305", "secret.yaml", 5,
         "the client certificate CN=client expired on 20", "renew it");
}

TEST_F(Credentials, OneOfTomorrowIsNotValidYet) {
  const auto early = issue(test::day_s, 200 * test::day_s);
  expect(secret({early.chain_pem, early.key_pem, ca_.pem()}), "SLP0306", "secret.yaml", 5,
         "is valid only from 20", "wait");
}

TEST_F(Credentials, OneThatEndsSoonIsAWarning) {
  const auto brief = issue(-test::hour_s, 10 * test::day_s + test::hour_s);
  expect(secret({brief.chain_pem, brief.key_pem, ca_.pem()}), "SLP0309", "secret.yaml", 5,
         ", in 10 days", "renew it");
}

TEST_F(Credentials, AKeyOfAnotherCertificateIsSaidSo) {
  const auto other = issue(-test::hour_s, 300 * test::day_s);
  expect(secret({good_.chain_pem, other.key_pem, ca_.pem()}), "SLP0307", "secret.yaml", 5,
         "does not match the certificate", "beside it");
}

TEST_F(Credentials, WhatIsNoPemIsSaidSo) {
  expect(secret({"no PEM\n", good_.key_pem, ca_.pem()}), "SLP0308", "secret.yaml", 5, "certificate",
         "PEM text");
}

TEST_F(Credentials, ACrlThatIsNoneIsSaidSo) {
  expect(secret({good_.chain_pem, good_.key_pem, ca_.pem(), "client", "default", "no CRL\n"}),
         "SLP0308", "secret.yaml", 5, "CRL", "PEM text");
}

TEST_F(Credentials, ACrlThatRanOutIsNamedWithItsDay) {
  const auto old = ca_.crl({}, -test::hour_s);
  expect(secret({good_.chain_pem, good_.key_pem, ca_.pem(), "client", "default", old}), "SLP0305",
         "secret.yaml", 5, "the CRL of CN=Root ran out on 20", "renew it");
}

TEST_F(Credentials, ACrlOfTodayIsNothingToSay) {
  const auto today = ca_.crl({}, 9 * test::day_s);
  const auto findings =
      with(secret({good_.chain_pem, good_.key_pem, ca_.pem(), "client", "default", today}));
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST_F(Credentials, TheKeyIsNeverShown) {
  const auto other = issue(-test::hour_s, 300 * test::day_s);
  const auto text = listed(with(secret({good_.chain_pem, other.key_pem, ca_.pem()})));
  EXPECT_FALSE(has(text, "PRIVATE KEY")) << text;
}

}  // namespace
}  // namespace sallyport::analyze
