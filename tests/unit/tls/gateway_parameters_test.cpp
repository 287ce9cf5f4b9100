// Versions, cipher suites and certificates that a gateway's server chooses among.
#include <gtest/gtest.h>
#include <openssl/x509.h>

#include "tests/unit/tls/meeting.h"

namespace sallyport::tls {
namespace {

const test::Issued& ecdsa() {
  static const auto issued = root().issue({.common_name = "ecdsa", .dns = {"a.test"}});
  return issued;
}
const test::Issued& rsa() {
  static const auto issued = root().issue({.common_name = "rsa", .dns = {"a.test"}, .rsa = true});
  return issued;
}

ServerSettings serving(std::vector<test::Issued> certificates = {ecdsa()}) {
  ServerSettings settings;
  for (const test::Issued& issued : certificates) settings.certificates.push_back(key_pair(issued));
  settings.server_name = "https.443.https.gateway.default";
  return settings;
}

ClientSettings client(std::string sni = "a.test") {
  ClientSettings settings;
  settings.sni = std::move(sni);
  settings.roots = trust(root().pem());
  return settings;
}

ClientSettings client_of(Version version, std::string ciphers = "") {
  ClientSettings settings = client();
  settings.lowest = settings.highest = version;
  settings.ciphers = std::move(ciphers);
  return settings;
}

// The common name of the certificate that the client is shown; empty: there was no handshake.
std::string shown(const Pair& pair) {
  const X509* const certificate = SSL_get0_peer_certificate(pair.client.get());
  char name[64] = "";
  if (certificate)
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
  return name;
}

// --- Cipher suites

TEST(ServerKind, DecidesWhichSuitesOfTls12AreTheUsualOnes) {
  const std::tuple<ServerKind, std::string, std::string> cases[] = {
      {ServerKind::mesh, "", "ECDHE-ECDSA-AES256-GCM-SHA384"},
      {ServerKind::gateway, "", "ECDHE-ECDSA-AES128-GCM-SHA256"},
      {ServerKind::mesh, "ECDHE-ECDSA-CHACHA20-POLY1305", "(NONE)"},
      {ServerKind::gateway, "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"},
      // A client that would rather have ChaCha20 has no instructions for AES.
      {ServerKind::gateway, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
       "ECDHE-ECDSA-CHACHA20-POLY1305"},
      {ServerKind::gateway, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
       "ECDHE-ECDSA-AES128-GCM-SHA256"},
      {ServerKind::gateway, "AES256-GCM-SHA384", "(NONE)"},
  };
  for (const auto& [kind, offered, chosen] : cases) {
    Meeting meeting(serving(), kind);
    const auto met = meeting.meet(client_of(Version::tls_1_2, offered));
    EXPECT_EQ(cipher_name(*met->server), chosen) << offered;
  }
}

TEST(GatewayServer, TakesTheSuitesAndCurvesOfItsSettings) {
  auto settings = serving();
  settings.ciphers = "ECDHE-ECDSA-AES256-SHA";
  settings.curves = "P-384";
  Meeting meeting(settings, ServerKind::gateway);
  auto asking = client_of(Version::tls_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA");
  asking.curves = "X25519:P-384:P-256";  // the last for the certificate
  const auto met = meeting.meet(asking);
  ASSERT_TRUE(SSL_is_init_finished(met->server.get()));
  EXPECT_EQ(cipher_name(*met->server), "ECDHE-ECDSA-AES256-SHA");
  EXPECT_EQ(SSL_get_negotiated_group(met->client.get()), NID_secp384r1);
}

TEST(GatewayServer, SaysWhatIsNotInCommon) {
  Meeting meeting(serving(), ServerKind::gateway);
  EXPECT_EQ(meeting.refusal(client_of(Version::tls_1_2, "ECDHE-RSA-AES128-GCM-SHA256")),
            "TLS error: NO_SHARED_CIPHER: no cipher suite in common with the client");
  auto asking = client_of(Version::tls_1_3);
  asking.curves = "P-521";
  EXPECT_EQ(meeting.refusal(asking),
            "TLS error: NO_SUITABLE_KEY_SHARE: no curve in common with the client");
}

TEST(GatewayServer, RefusesParametersThatOpensslDoesNotTake) {
  for (const bool ciphers : {true, false}) {
    auto settings = serving();
    (ciphers ? settings.ciphers : settings.curves) = "NOTHING";
    ServerContext context(ServerKind::gateway);
    const auto ssl = context.open(prepared(settings), "");
    ASSERT_FALSE(ssl);
    EXPECT_EQ(ssl.error().side, Side::downstream);
    EXPECT_NE(ssl.error().context.find("NOTHING"), std::string::npos) << ssl.error().context;
  }
}

// --- Versions

struct Range {
  Version lowest, highest;
  std::string text;
};
constexpr const char* old_suites = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256";

// Who finds that no version fits is the client where the server's highest is below its lowest, and
// TLS 1.2 or older is agreed on.
std::string version_failure(Meeting& meeting, Version version) {
  const auto met = meeting.meet(client_of(version, old_suites));
  if (SSL_is_init_finished(met->server.get())) return {};
  const Error server = failure_of(*met->server, Side::downstream);
  if (server.fault != Fault::internal) return server.context;
  return failure_of(*met->client, Side::upstream).context;
}

TEST(GatewayServer, SpeaksTheVersionsOfItsSettingsAndNoOther) {
  const Range ranges[] = {
      {Version::tls_1_0, Version::tls_1_3, "TLS 1.0 to 1.3"},
      {Version::tls_1_1, Version::tls_1_2, "TLS 1.1 and 1.2"},
      {Version::tls_1_0, Version::tls_1_0, "TLS 1.0"},
      {Version::tls_1_2, Version::tls_1_3, "TLS 1.2 and 1.3"},
      {Version::tls_1_2, Version::tls_1_2, "TLS 1.2"},
      {Version::tls_1_3, Version::tls_1_3, "TLS 1.3"},
  };
  for (const Range& range : ranges) {
    auto settings = serving();
    settings.lowest = range.lowest;
    settings.highest = range.highest;
    settings.ciphers = old_suites;
    for (const Version version :
         {Version::tls_1_0, Version::tls_1_1, Version::tls_1_2, Version::tls_1_3}) {
      Meeting meeting(settings, ServerKind::gateway);
      const auto seen = version_failure(meeting, version);
      const bool spoken = version >= range.lowest && version <= range.highest;
      const bool found_by_server = version < range.lowest || version == Version::tls_1_3;
      const std::string expected =
          found_by_server ? "the client speaks another than " + range.text
                          : "the server speaks another than " + versions_text(version, version);
      EXPECT_EQ(seen.empty(), spoken) << range.text << ": " << seen;
      if (!spoken) {
        EXPECT_TRUE(seen.ends_with("no TLS version in common: " + expected)) << seen;
      }
    }
  }
}

TEST(GatewayServer, AgreesOnTheHighestVersionInCommon) {
  auto settings = serving();
  settings.lowest = Version::tls_1_0;
  settings.ciphers = old_suites;
  Meeting meeting(settings, ServerKind::gateway);
  EXPECT_EQ(protocol_version(*meeting.meet(client())->server), "TLSv1.3");
  auto asking = client();
  asking.lowest = Version::tls_1_0;
  asking.highest = Version::tls_1_1;
  asking.ciphers = old_suites;
  EXPECT_EQ(protocol_version(*meeting.meet(asking)->server), "TLSv1.1");
}

TEST(GatewayServer, SpeaksTls10WithAnRsaCertificate) {
  auto settings = serving({rsa()});
  settings.lowest = Version::tls_1_0;
  settings.ciphers = "ECDHE-RSA-AES128-SHA:AES128-SHA";
  for (const char* const suite : {"ECDHE-RSA-AES128-SHA", "AES128-SHA"}) {
    Meeting meeting(settings, ServerKind::gateway);
    const auto met = meeting.meet(client_of(Version::tls_1_0, suite));
    ASSERT_TRUE(SSL_is_init_finished(met->server.get())) << suite;
    EXPECT_EQ(protocol_version(*met->server), "TLSv1");
    EXPECT_EQ(cipher_name(*met->server), suite);
  }
}

TEST(GatewayServer, LowersTheSecurityLevelOnlyWhereAnOldVersionIsConfigured) {
  ServerContext context(ServerKind::gateway);
  auto settings = serving();
  EXPECT_EQ(SSL_get_security_level(context.open(prepared(settings), "").value().get()), 2);
  settings.lowest = Version::tls_1_1;
  EXPECT_EQ(SSL_get_security_level(context.open(prepared(settings), "").value().get()), 0);
  settings.lowest = Version::tls_1_2;
  EXPECT_EQ(SSL_get_security_level(context.open(prepared(settings), "").value().get()), 2)
      << "of the next connection";
}

TEST(GatewayServer, IsNeverAnonymousHoweverOldItsClients) {
  auto settings = serving();
  settings.lowest = Version::tls_1_0;
  settings.ciphers = "ALL";
  Meeting meeting(settings, ServerKind::gateway);
  for (const char* const suites : {"AECDH-AES128-SHA:@SECLEVEL=0", "ADH-AES128-SHA:@SECLEVEL=0",
                                   "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"}) {
    auto ssl = meeting.client_context.open(client_of(Version::tls_1_2), nullptr).value();
    ASSERT_EQ(SSL_set_cipher_list(ssl.get(), suites), 1);
    Pair pair(std::move(ssl), meeting.server_context->open(meeting.server, "").value());
    EXPECT_FALSE(pair.handshake()) << suites;
    EXPECT_NE(failure_of(*pair.server, Side::downstream).context.find("NO_SHARED_CIPHER"),
              std::string::npos);
  }
}

std::string signed_with_sha1(const test::Issued& issued, const test::Authority& by) {
  const test::detail::Bio leaf(
      BIO_new_mem_buf(issued.chain_pem.data(), static_cast<int>(issued.chain_pem.size())));
  const std::string key_pem = by.key_pem();
  const test::detail::Bio key_text(
      BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const test::detail::Certificate certificate(
      PEM_read_bio_X509(leaf.get(), nullptr, nullptr, nullptr), X509_free);
  const test::detail::Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr),
                              EVP_PKEY_free);
  EXPECT_GT(X509_sign(certificate.get(), key.get(), EVP_sha1()), 0);
  return test::detail::pem_of(certificate.get());
}

TEST(GatewayServer, HoldsCertificatesToTheUsualLevelHoweverOldItsClients) {
  auto settings = serving();
  settings.lowest = Version::tls_1_0;
  settings.ciphers = old_suites;
  settings.client_certificate = ClientCertificate::required;
  settings.roots = trust(root().pem());
  auto issued = root().issue({});
  for (const bool weak : {false, true}) {
    if (weak) issued.chain_pem = signed_with_sha1(issued, root());
    auto asking = client_of(Version::tls_1_0, old_suites);
    asking.certificate = key_pair(issued);
    Meeting meeting(settings, ServerKind::gateway);
    const auto seen = meeting.refusal(asking);
    if (!weak) {
      EXPECT_EQ(seen, "");
    } else {
      EXPECT_NE(seen.find("CA signature digest algorithm too weak"), seen.npos) << seen;
    }
  }
}

// --- Two certificates

TEST(TwoCertificates, OfTwoKindsTheClientGetsTheOneThatItCanVerify) {
  for (const bool rsa_first : {true, false}) {
    Meeting meeting(rsa_first ? serving({rsa(), ecdsa()}) : serving({ecdsa(), rsa()}),
                    ServerKind::gateway);
    const auto shown_to = [&meeting](const ClientSettings& asking) {
      meeting.slot = SessionSlot();
      return shown(*meeting.meet(asking));
    };
    EXPECT_EQ(shown_to(client_of(Version::tls_1_3)), "ecdsa") << "by preference";
    EXPECT_EQ(shown_to(client_of(Version::tls_1_2)), "ecdsa");
    EXPECT_EQ(shown_to(client_of(Version::tls_1_2, "ECDHE-RSA-AES128-GCM-SHA256")), "rsa");

    auto ssl = meeting.client_context.open(client_of(Version::tls_1_3), nullptr).value();
    ASSERT_EQ(SSL_set1_sigalgs_list(ssl.get(), "RSA-PSS+SHA256:RSA+SHA256"), 1);
    Pair pair(std::move(ssl), meeting.server_context->open(meeting.server, "").value());
    ASSERT_TRUE(pair.handshake());
    EXPECT_EQ(shown(pair), "rsa");
  }
}

TEST(ServerContext, OfAServerWhoseCertificateOpenSslRefusesIsNotMade) {
  auto weak = root().issue({});
  weak.chain_pem = signed_with_sha1(weak, root());
  const auto made = ServerContext::showing(ServerKind::gateway, prepared(serving({weak})));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().fault, Fault::tls_handshake);
}

TEST(TwoCertificates, EachGoesOutWithItsOwnChain) {
  const auto of_rsa = root().intermediate("RSA's CA"), of_ecdsa = root().intermediate("ECDSA's CA");
  Meeting meeting(serving({of_rsa.issue({.common_name = "rsa", .rsa = true}),
                           of_ecdsa.issue({.common_name = "ecdsa"})}),
                  ServerKind::gateway);
  for (const char* const suite : {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"}) {
    meeting.slot = SessionSlot();
    const auto met = meeting.meet(client_of(Version::tls_1_2, suite));
    ASSERT_TRUE(SSL_is_init_finished(met->client.get())) << suite;
    EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(met->client.get())), 2) << suite;
  }
}

TEST(TwoCertificates, TheOneWithTheClientsNameGoesFirst) {
  const auto named = [](const char* name, std::string dns, bool is_rsa = false) {
    return root().issue({.common_name = name, .dns = {std::move(dns)}, .rsa = is_rsa});
  };
  struct {
    const char* name;
    std::vector<test::Issued> certificates;
    std::string sni, expected;
  } const cases[] = {
      {"of one kind, the second's",
       {named("one", "a.test"), named("two", "b.test")},
       "b.test",
       "two"},
      {"of one kind, the first's",
       {named("one", "a.test"), named("two", "b.test")},
       "a.test",
       "one"},
      {"of one kind, both", {named("one", "a.test"), named("two", "*.test")}, "a.test", "one"},
      {"of one kind, by a wildcard",
       {named("one", "a.test"), named("two", "*.test")},
       "B.test",
       "two"},
      {"of one kind, neither", {named("one", "a.test"), named("two", "b.test")}, "c.test", "one"},
      {"of one kind, no name", {named("one", "a.test"), named("two", "b.test")}, "", "one"},
      {"of two kinds, the RSA one's",
       {named("one", "a.test"), named("two", "b.test", true)},
       "b.test",
       "two"},
      {"of two kinds, neither",
       {named("one", "a.test"), named("two", "b.test", true)},
       "c.test",
       "one"},
  };
  for (const auto& c : cases) {
    Meeting meeting(serving(c.certificates), ServerKind::gateway);
    for (const Version version : {Version::tls_1_2, Version::tls_1_3}) {
      auto asking = client_of(version);
      asking.sni = c.sni;
      meeting.slot = SessionSlot();
      EXPECT_EQ(shown(*meeting.meet(asking)), c.expected) << c.name;
    }
  }
}

TEST(TwoCertificates, OfOneKindHaveNoneOfTheOthersChain) {
  const auto one = root().intermediate("First CA"), two = root().intermediate("Second CA");
  Meeting meeting(
      serving({one.issue({.common_name = "one", .dns = {"a.test"}}),
               two.intermediate("Third CA").issue({.common_name = "two", .dns = {"b.test"}})}),
      ServerKind::gateway);
  const std::pair<const char*, int> cases[] = {{"a.test", 2}, {"b.test", 3}};
  for (const auto& [sni, certificates] : cases) {
    const auto met = meeting.meet(client(sni));
    ASSERT_TRUE(SSL_is_init_finished(met->client.get()))
        << failure_of(*met->client, Side::upstream).context;
    EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(met->client.get())), certificates) << sni;
    meeting.slot = SessionSlot();
  }
}

}  // namespace
}  // namespace sallyport::tls
