// Who may resume a session on which server: verification does not run again then, so that a session
// is good only where it would have had the same outcome.
#include <gtest/gtest.h>

#include "tests/unit/tls/meeting.h"
#include "tls/session_facts.h"

namespace sallyport::tls {
namespace {

const test::Issued& visitor() {
  static const auto issued = root().issue(
      {.common_name = "visitor", .dns = {"client.test"}, .uris = {"spiffe://td/ns/a/sa/b"}});
  return issued;
}

ServerSettings serving(ClientCertificate asked = ClientCertificate::required) {
  static const auto certificate = key_pair(root().issue({.dns = {"a.test", "b.test"}}));
  static const auto roots = trust(root().pem());
  ServerSettings settings;
  settings.certificates = {certificate};
  settings.server_name = "https.443.https.gateway.default";
  settings.client_certificate = asked;
  if (asked != ClientCertificate::none) settings.roots = roots;
  return settings;
}

ClientSettings client(Version version, bool with_certificate = true) {
  ClientSettings settings;
  settings.sni = "a.test";
  settings.roots = trust(root().pem());
  settings.lowest = settings.highest = version;
  if (with_certificate) settings.certificate = key_pair(visitor());
  return settings;
}

constexpr Version versions[] = {Version::tls_1_2, Version::tls_1_3};

// Whether a session of a server with settings `one` is resumed on one with `other`; both let the
// client in.
bool resumes(const ServerSettings& one, const ServerSettings& other, const ClientSettings& client) {
  Meeting meeting(one, ServerKind::gateway);
  EXPECT_TRUE(SSL_is_init_finished(meeting.meet(client)->server.get()));
  meeting.server = prepared(other);
  const auto again = meeting.meet(client);
  EXPECT_TRUE(SSL_is_init_finished(again->server.get()));
  EXPECT_TRUE(!client.certificate || peer_certificate(*again->server));
  return session_reused(*again->server);
}

TEST(ServerSession, IsResumedOnTheSameServer) {
  for (const Version version : versions)
    for (const auto asked :
         {ClientCertificate::none, ClientCertificate::optional, ClientCertificate::required}) {
      ServerSettings changed = serving(asked);
      changed.certificates = {key_pair(root().issue({.dns = {"a.test"}}))};
      changed.alpn = {"h2"};
      ClientSettings asking = client(version, asked == ClientCertificate::required);
      EXPECT_TRUE(resumes(serving(asked), serving(asked), asking));
      EXPECT_TRUE(resumes(serving(asked), changed, asking)) << "a new certificate of the server's";
    }
}

struct Change {
  const char* name;
  void (*make)(ServerSettings&);
};
const Change changes[] = {
    {"another server",
     [](ServerSettings& s) { s.server_name = "https.443.other.gateway.default"; }},
    {"no server's name", [](ServerSettings& s) { s.server_name.clear(); }},
    {"other roots", [](ServerSettings& s) { s.roots = trust(root().pem()); }},
    {"with a CRL", [](ServerSettings& s) { s.roots = trust(root().pem(), root().crl({})); }},
    {"a name", [](ServerSettings& s) { s.names = {"client.test"}; }},
    {"two names",
     [](ServerSettings& s) {
       s.names = {"client.test", "other.test"};
     }},
    {"a trust domain", [](ServerSettings& s) { s.trust_domains = {"td"}; }},
    {"two trust domains",
     [](ServerSettings& s) {
       s.trust_domains = {"td", "client.test"};
     }},
    {"a pinned key",
     [](ServerSettings& s) { s.certificate_spki = {*spki_sha256(*key_pair(visitor())->leaf())}; }},
    {"a pinned certificate",
     [](ServerSettings& s) {
       s.certificate_hash = {*certificate_sha256(*key_pair(visitor())->leaf())};
     }},
    {"optional", [](ServerSettings& s) { s.client_certificate = ClientCertificate::optional; }},
    {"untrusting", [](ServerSettings& s) { s.accept_untrusted = true; }},
    {"older versions", [](ServerSettings& s) { s.lowest = Version::tls_1_1; }},
    {"other suites", [](ServerSettings& s) { s.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"; }},
    {"other curves", [](ServerSettings& s) { s.curves = "P-256"; }},
};

TEST(ServerSession, IsNotResumedOnOneOfOtherTerms) {
  for (const Version version : versions)
    for (const Change& change : changes) {
      ServerSettings other = serving();
      change.make(other);
      EXPECT_FALSE(resumes(serving(), other, client(version))) << change.name;
      EXPECT_FALSE(resumes(other, serving(), client(version))) << change.name << ", back";
    }
}

TEST(ServerSession, NoTwoTermsLookAlike) {
  std::vector<std::string> seen;
  const auto note = [&seen](const ServerSettings& settings, const char* name) {
    const auto made = prepared(settings);
    const auto context = made->session_context();
    seen.emplace_back(reinterpret_cast<const char*>(context.data()), context.size());
    for (std::size_t i = 0; i + 1 < seen.size(); ++i) EXPECT_NE(seen[i], seen.back()) << name;
  };
  note(serving(), "as it is");
  for (const Change& change : changes) {
    ServerSettings other = serving();
    change.make(other);
    note(other, change.name);
  }
  note(serving(ClientCertificate::none), "nobody asked");
  ServerSettings one = serving();
  one.names = {"ab", "c"};
  note(one, "ab, c");
  one.names = {"a", "bc"};
  note(one, "a, bc");
  one.names = {};
  one.trust_domains = {"a", "bc"};
  note(one, "trust domains a, bc");
}

TEST(ServerSession, WithoutACertificateIsNoWayPastAServerThatRequiresOne) {
  for (const Version version : versions)
    for (const auto asked : {ClientCertificate::none, ClientCertificate::optional}) {
      Meeting meeting(serving(asked), ServerKind::gateway);
      const auto asking = client(version, false);
      ASSERT_EQ(meeting.refusal(asking), "");
      meeting.server = prepared(serving());
      EXPECT_NE(meeting.refusal(asking).find("the client showed no certificate"),
                std::string::npos);
    }
}

TEST(ServerSession, OfAnUntrustingServerIsNoWayPastVerification) {
  for (const Version version : versions) {
    ServerSettings untrusting = serving();
    untrusting.accept_untrusted = true;
    Meeting meeting(untrusting, ServerKind::gateway);
    auto asking = client(version);
    asking.certificate = key_pair(stranger().issue({.dns = {"client.test"}}));
    ASSERT_EQ(meeting.refusal(asking), "");
    meeting.server = prepared(serving());
    EXPECT_NE(meeting.refusal(asking).find("unknown CA"), std::string::npos);
  }
}

TEST(ServerSession, ThatIsRefusedSaysNothingOfTheClientThatBringsIt) {
  for (const Version version : versions) {
    Meeting meeting(serving(), ServerKind::gateway);
    auto asking = client(version);
    ASSERT_EQ(meeting.refusal(asking), "");
    ServerSettings untrusting = serving();
    untrusting.accept_untrusted = true;
    meeting.server = prepared(untrusting);
    asking.certificate = key_pair(stranger().issue({.dns = {"client.test"}}));
    const auto met = meeting.meet(asking);
    ASSERT_TRUE(SSL_is_init_finished(met->server.get()));
    EXPECT_FALSE(session_reused(*met->server));
    EXPECT_FALSE(peer_certificate(*met->server)->verified);
  }
}

TEST(ServerSession, EndsWithTheCrlThatItsClientWasLookedUpIn) {
  ServerSettings settings = serving();
  settings.roots = trust(root().pem(), root().crl({}, 2));
  Meeting old(settings, ServerKind::gateway), recent(settings, ServerKind::gateway);
  const ClientSettings asking12 = client(Version::tls_1_2), asking13 = client(Version::tls_1_3);
  ASSERT_EQ(old.refusal(asking12) + recent.refusal(asking13), "");
  const auto end = std::time(nullptr) + 3;
  while (std::time(nullptr) < end) usleep(50'000);
  for (const auto& seen : {old.refusal(asking12), recent.refusal(asking13)})
    EXPECT_NE(seen.find("CRL has expired"), seen.npos) << seen;
}

}  // namespace
}  // namespace sallyport::tls
