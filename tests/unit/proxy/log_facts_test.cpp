// TLS facts in Envoy's words.
#include "agent/proxy/log_facts.h"

#include <gtest/gtest.h>

namespace sallyport::proxy {
namespace {

TEST(LogFacts, AreJoinedAndEncodedAsEnvoyDoes) {
  tls::SessionFacts facts;
  facts.version = "TLSv1.3";
  facts.cipher = "TLS_AES_128_GCM_SHA256";
  facts.session_id = "0a";
  facts.peer = tls::SessionFacts::Peer{.info = {.subject = "CN=s",
                                                .issuer = "CN=ca",
                                                .serial = "1f",
                                                .not_before = 1,
                                                .not_after = 2,
                                                .dns_names = {"a.test", "b.test"},
                                                .uris = {"spiffe://td/a", "spiffe://td/b"}},
                                       .sha256 = "25",
                                       .sha1 = "01",
                                       .pem = "-----BEGIN C-----\nMI+/=\n"};
  facts.local = certs::CertificateInfo{.subject = "CN=l", .dns_names = {"l"}, .uris = {"u"}};
  const observe::TlsFacts out = log_facts(facts);
  EXPECT_EQ(out.version, "TLSv1.3");
  EXPECT_EQ(out.cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(out.session_id, "0a");
  EXPECT_EQ(out.peer_dns_san, "a.test,b.test");
  EXPECT_EQ(out.peer_uri_san, "spiffe://td/a,spiffe://td/b");
  EXPECT_EQ(out.peer_subject, "CN=s");
  EXPECT_EQ(out.peer_issuer, "CN=ca");
  EXPECT_EQ(out.peer_serial, "1f");
  EXPECT_EQ(out.peer_fingerprint_256, "25");
  EXPECT_EQ(out.peer_fingerprint_1, "01");
  EXPECT_EQ(out.peer_certificate, "-----BEGIN%20C-----%0AMI%2B%2F%3D%0A");
  EXPECT_EQ(out.peer_valid_from, 1);
  EXPECT_EQ(out.peer_valid_to, 2);
  EXPECT_EQ(out.local_subject, "CN=l");
  EXPECT_EQ(out.local_dns_san, "l");
  EXPECT_EQ(out.local_uri_san, "u");
}

TEST(LogFacts, WithoutCertificatesAreEmpty) {
  const observe::TlsFacts out = log_facts({.version = "TLSv1.2"});
  EXPECT_EQ(out.version, "TLSv1.2");
  EXPECT_EQ(out.peer_subject + out.local_subject + out.peer_certificate, "");
  EXPECT_EQ(out.peer_valid_from, std::nullopt);
}

}  // namespace
}  // namespace sallyport::proxy
