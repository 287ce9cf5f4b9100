// Which clients a gateway's server lets in by their certificates, why not the others, and what is
// known of them then.
#include <gtest/gtest.h>

#include "agent/core/limits.h"
#include "certs/describe.h"
#include "tests/unit/tls/meeting.h"
#include "tls/pins.h"
#include "tls/session_facts.h"

namespace sallyport::tls {
namespace {

ServerSettings serving(ClientCertificate asked) {
  ServerSettings settings;
  settings.certificates = {key_pair(root().issue({.common_name = "web", .dns = {"a.test"}}))};
  settings.server_name = "https.443.https.gateway.default";
  settings.client_certificate = asked;
  if (asked != ClientCertificate::none) settings.roots = trust(root().pem());
  settings.roots_name = "kubernetes://web-cacert";
  return settings;
}

test::Issued client_certificate(std::vector<std::string> dns = {"client.test"}) {
  return root().issue({.common_name = "client", .dns = std::move(dns)});
}

ClientSettings client_with(std::shared_ptr<const certs::KeyPair> certificate) {
  ClientSettings settings;
  settings.sni = "a.test";
  settings.names = {"a.test"};
  settings.roots = trust(root().pem());
  settings.certificate = std::move(certificate);
  return settings;
}

struct GatewayMeeting : Meeting {
  explicit GatewayMeeting(const ServerSettings& settings)
      : Meeting(settings, ServerKind::gateway) {}
};

bool let_in(const Pair& pair) { return SSL_is_init_finished(pair.server.get()) == 1; }

Sha256 pin_of(const test::Issued& issued) {
  return certificate_sha256(*key_pair(issued)->leaf()).value();
}
Sha256 key_pin_of(const test::Issued& issued) {
  return spki_sha256(*key_pair(issued)->leaf()).value();
}

TEST(SimpleServer, AsksNobodyForACertificate) {
  GatewayMeeting meeting(serving(ClientCertificate::none));
  for (const auto& certificate : {key_pair(client_certificate()), key_pair(stranger().issue({}))}) {
    const auto met = meeting.meet(client_with(certificate));
    ASSERT_TRUE(let_in(*met));
    EXPECT_FALSE(peer_certificate(*met->server));
    EXPECT_EQ(peer_certificate_pem(*met->server), "");
  }
}

TEST(MutualServer, KnowsWhoItsClientIs) {
  const auto certificate = client_certificate();
  for (const Version version : {Version::tls_1_2, Version::tls_1_3}) {
    GatewayMeeting meeting(serving(ClientCertificate::required));
    auto client = client_with(key_pair(certificate));
    client.lowest = client.highest = version;
    for (const bool resumed : {false, true}) {
      const auto met = meeting.meet(client);
      ASSERT_TRUE(let_in(*met));
      EXPECT_EQ(session_reused(*met->server), resumed);
      const auto peer = peer_certificate(*met->server);
      ASSERT_TRUE(peer);
      EXPECT_TRUE(peer->verified);
      EXPECT_EQ(peer->info.dns_names, std::vector<std::string>{"client.test"});
      EXPECT_EQ(peer_certificate_pem(*met->server), certificate.chain_pem);
      const bool forgotten = resumed && version == Version::tls_1_2;
      EXPECT_EQ(client_sni(*met->server), forgotten ? "" : "a.test");
    }
  }
}

TEST(MutualServer, AClientMayAskForNoName) {
  GatewayMeeting meeting(serving(ClientCertificate::required));
  auto client = client_with(key_pair(client_certificate()));
  client.sni = "";
  const auto met = meeting.meet(client);
  ASSERT_TRUE(let_in(*met));
  EXPECT_EQ(client_sni(*met->server), "");
}

TEST(MutualServer, NamesWhatIsWrongWithAClient) {
  auto settings = serving(ClientCertificate::required);
  settings.names = {"client.test", "spiffe://td/client"};
  const auto issue = [](long from_s, long to_s) {
    return root().issue({.common_name = "client",
                         .dns = {"client.test"},
                         .valid_from_s = from_s,
                         .valid_to_s = to_s});
  };
  const std::string prefix = "TLS error: CERTIFICATE_VERIFY_FAILED: ";
  const std::tuple<const char*, test::Issued, std::string> cases[] = {
      {"expired", issue(-2 * test::day_s, -test::day_s), prefix + "certificate expired on "},
      {"not yet valid", issue(test::hour_s, test::day_s), prefix + "certificate not valid before "},
      {"of an unknown CA", stranger().issue({.common_name = "client", .dns = {"client.test"}}),
       prefix + "unknown CA: issuer \"CN=Stranger\" of subject \"CN=client\" is not among the "
                "trusted ones"},
      {"for servers only",
       root().issue({.dns = {"client.test"}, .extended_key_usage = "serverAuth"}),
       prefix + "certificate not meant for this end of TLS (key usage)"},
      {"of another name", client_certificate({"other.test"}),
       prefix +
           "no SAN of the client certificate matches [client.test, spiffe://td/client]; it has "
           "[other.test]"},
  };
  for (const auto& [name, certificate, reason] : cases) {
    for (const Version version : {Version::tls_1_2, Version::tls_1_3}) {
      GatewayMeeting meeting(settings);
      auto client = client_with(key_pair(certificate));
      client.lowest = client.highest = version;
      const auto seen = meeting.refusal(client);
      EXPECT_TRUE(seen.starts_with(reason)) << name << ": " << seen;
    }
  }
  EXPECT_EQ(GatewayMeeting(settings).refusal(client_with(nullptr)),
            "TLS error: PEER_DID_NOT_RETURN_A_CERTIFICATE: the client showed no certificate");
}

TEST(MutualServer, NamesARevokedClientAndWhereTheCrlIsFrom) {
  const auto revoked = client_certificate();
  auto settings = serving(ClientCertificate::required);
  settings.roots = trust(root().pem(), root().crl({revoked.serial}));
  const auto seen = GatewayMeeting(settings).refusal(client_with(key_pair(revoked)));
  EXPECT_NE(seen.find("certificate revoked: serial "), seen.npos) << seen;
  EXPECT_NE(seen.find("(CRL of kubernetes://web-cacert)"), seen.npos) << seen;
  EXPECT_EQ(GatewayMeeting(settings).refusal(client_with(key_pair(client_certificate()))), "");
}

TEST(MutualServer, OneNameOfSeveralIsEnoughWithAWildcardInTheCertificateToo) {
  auto settings = serving(ClientCertificate::required);
  settings.names = {"ops@client.test", "b.client.test"};
  const auto refusal = [&](const test::Issued& certificate) {
    return GatewayMeeting(settings).refusal(client_with(key_pair(certificate)));
  };
  EXPECT_EQ(refusal(client_certificate({"*.client.test"})), "");
  EXPECT_EQ(refusal(root().issue({.emails = {"ops@client.test"}})), "");
  EXPECT_NE(refusal(client_certificate({"*.b.client.test"})), "");
}

TEST(MutualServer, AsksForTrustDomainAndNameWhereBothAreSet) {
  auto settings = serving(ClientCertificate::required);
  settings.trust_domains = {"td"};
  settings.names = {"client.test"};
  const auto refusal = [&](const test::CertificateSpec& spec) {
    return GatewayMeeting(settings).refusal(client_with(key_pair(root().issue(spec))));
  };
  EXPECT_EQ(refusal({.dns = {"client.test"}, .uris = {"spiffe://td/ns/a/sa/b"}}), "");
  EXPECT_NE(refusal({.dns = {"client.test"}}).find("has no URI SAN"), std::string::npos);
  EXPECT_NE(refusal({.uris = {"spiffe://td/ns/a/sa/b"}}).find("no SAN of the client certificate"),
            std::string::npos);
}

TEST(PinningServer, TakesACertificateOfEitherList) {
  const auto mine = client_certificate(), other = client_certificate();
  struct {
    const char* name;
    std::vector<Sha256> keys, certificates;
    bool good;
  } const cases[] = {
      {"its key", {key_pin_of(mine)}, {}, true},
      {"its own", {}, {pin_of(mine)}, true},
      {"its key, another's certificate", {key_pin_of(mine)}, {pin_of(other)}, true},
      {"another's key, its own", {key_pin_of(other)}, {pin_of(mine)}, true},
      {"one of several", {}, {pin_of(other), pin_of(mine)}, true},
      {"another's", {key_pin_of(other)}, {pin_of(other)}, false},
      {"its key's among the certificates'", {}, {key_pin_of(mine)}, false},
  };
  for (const auto& c : cases) {
    auto settings = serving(ClientCertificate::required);
    settings.certificate_spki = c.keys;
    settings.certificate_hash = c.certificates;
    EXPECT_EQ(GatewayMeeting(settings).refusal(client_with(key_pair(mine))) == "", c.good)
        << c.name;
  }
}

TEST(PinningServer, SaysWhichPinsWouldHaveFit) {
  const auto mine = client_certificate(), other = client_certificate();
  const std::string prefix =
      "TLS error: CERTIFICATE_VERIFY_FAILED: the client certificate is not a pinned one: ";
  const std::string key = "the SHA-256 of its SPKI is " + spki_pin_text(key_pin_of(mine)),
                    whole = "its SHA-256 is " + certs::hexadecimal(pin_of(mine));
  auto settings = serving(ClientCertificate::required);
  const auto refusal = [&] {
    return GatewayMeeting(settings).refusal(client_with(key_pair(mine)));
  };
  settings.certificate_spki = {key_pin_of(other)};
  EXPECT_EQ(refusal(), prefix + key);
  settings.certificate_hash = {pin_of(other)};
  EXPECT_EQ(refusal(), prefix + key + " and " + whole);
  settings.certificate_spki = {};
  EXPECT_EQ(refusal(), prefix + whole);
}

TEST(PinningServer, AsksForChainAndNamesAllTheSame) {
  const auto foreign = stranger().issue({.dns = {"client.test"}}), misnamed = client_certificate();
  auto settings = serving(ClientCertificate::required);
  settings.certificate_hash = {pin_of(foreign), pin_of(misnamed)};
  settings.names = {"other.test"};
  const auto refusal = [&](const test::Issued& certificate) {
    return GatewayMeeting(settings).refusal(client_with(key_pair(certificate)));
  };
  EXPECT_NE(refusal(foreign).find("unknown CA"), std::string::npos);
  EXPECT_NE(refusal(misnamed).find("no SAN of the client certificate"), std::string::npos);
}

TEST(OptionalServer, LetsInWhoShowsNoneAndVerifiesWhoShowsOne) {
  auto settings = serving(ClientCertificate::optional);
  settings.names = {"client.test"};
  GatewayMeeting meeting(settings);
  const auto without = meeting.meet(client_with(nullptr));
  ASSERT_TRUE(let_in(*without));
  EXPECT_FALSE(peer_certificate(*without->server));
  GatewayMeeting other(settings);
  const auto with = other.meet(client_with(key_pair(client_certificate())));
  ASSERT_TRUE(let_in(*with));
  EXPECT_TRUE(peer_certificate(*with->server)->verified);
  for (const auto& bad :
       {stranger().issue({.dns = {"client.test"}}), client_certificate({"other.test"})}) {
    EXPECT_NE(GatewayMeeting(settings).refusal(client_with(key_pair(bad))), "");
  }
}

// Envoy's ACCEPT_UNTRUSTED.
TEST(UntrustingServer, LetsInAnybodyAndTellsWhoIsVerified) {
  const auto good = client_certificate();
  auto settings = serving(ClientCertificate::required);
  settings.accept_untrusted = true;
  settings.names = {"client.test"};
  settings.certificate_hash = {pin_of(good)};
  const std::tuple<const char*, test::Issued, bool> cases[] = {
      {"of a trusted CA", good, true},
      {"of an unknown CA", stranger().issue({.dns = {"client.test"}}), false},
      {"expired", root().issue({.dns = {"client.test"}, .valid_to_s = -60}), false},
      {"of another name", client_certificate({"other.test"}), false},
      {"not pinned", client_certificate(), false},
  };
  for (const auto& [name, certificate, verified] : cases) {
    GatewayMeeting meeting(settings);
    for (const bool resumed : {false, true}) {
      const auto met = meeting.meet(client_with(key_pair(certificate)));
      ASSERT_TRUE(let_in(*met)) << name;
      EXPECT_EQ(session_reused(*met->server), resumed) << name;
      ASSERT_TRUE(peer_certificate(*met->server)) << name;
      EXPECT_EQ(peer_certificate(*met->server)->verified, verified) << name;
    }
  }
  EXPECT_NE(GatewayMeeting(settings).refusal(client_with(nullptr)).find("showed no certificate"),
            std::string::npos);
}

TEST(UntrustingServer, NeedsNoCa) {
  auto settings = serving(ClientCertificate::optional);
  settings.accept_untrusted = true;
  settings.roots = nullptr;
  GatewayMeeting meeting(settings);
  const auto met = meeting.meet(client_with(key_pair(client_certificate())));
  ASSERT_TRUE(let_in(*met));
  EXPECT_FALSE(peer_certificate(*met->server)->verified);
}

TEST(MutualServer, RefusesAChainOfTooManyCAs) {
  const auto below = [](int depth) {
    test::Authority last = root();
    for (int i = 0; i < depth; i++) last = last.intermediate("CA " + std::to_string(i));
    return client_with(key_pair(last.issue({})));
  };
  const auto settings = serving(ClientCertificate::optional);
  EXPECT_EQ(GatewayMeeting(settings).refusal(below(limits::client_chain_depth)), "");
  const auto seen = GatewayMeeting(settings).refusal(below(limits::client_chain_depth + 1));
  EXPECT_NE(seen.find("certificate chain too long"), seen.npos) << seen;
}

TEST(MutualServer, RefusesCertificatesOfTooManyBytes) {
  std::vector<std::string> names;
  for (int i = 0; i < 6000; i++) names.push_back("name-" + std::to_string(i) + ".client.test");
  const auto seen = GatewayMeeting(serving(ClientCertificate::optional))
                        .refusal(client_with(key_pair(client_certificate(names))));
  EXPECT_NE(seen.find("a certificate chain may have 100 KiB"), seen.npos) << seen;
}

// Browsers offer their user only certificates of the CAs that the request names.
TEST(MutualServer, NamesItsRootsIfToldTo) {
  auto settings = serving(ClientCertificate::optional);
  const auto of_the_same_name = test::Authority::root("Test Root");
  settings.roots = trust(root().pem() + stranger().pem() + of_the_same_name.pem());
  for (const bool names_roots : {true, false}) {
    settings.names_roots = names_roots;
    GatewayMeeting meeting(settings);
    const auto met = meeting.meet(client_with(key_pair(client_certificate())));
    ASSERT_TRUE(let_in(*met));
    const auto* const named = SSL_get0_peer_CA_list(met->client.get());
    EXPECT_EQ(named ? sk_X509_NAME_num(named) : 0, names_roots ? 2 : 0);
  }
}

TEST(MutualServer, NamesNoRootsWhereTheyAreTooMany) {
  auto settings = serving(ClientCertificate::optional);
  std::string bundle = root().pem();
  for (int i = 0; i < 64; ++i) bundle += test::Authority::root("CA " + std::to_string(i)).pem();
  settings.roots = trust(bundle);
  settings.names_roots = true;
  EXPECT_FALSE(prepared(settings)->root_names());
}

TEST(PreparedServer, RefusesSettingsThatCannotBeServed) {
  struct {
    const char* reason;
    void (*change)(ServerSettings&);
    Fault fault;
  } const cases[] = {
      {"the server has no certificate", [](ServerSettings& s) { s.certificates.clear(); },
       Fault::missing_secret},
      {"the server has no certificate", [](ServerSettings& s) { s.certificates.push_back({}); },
       Fault::missing_secret},
      {"a server may have two certificates, not 3",
       [](ServerSettings& s) { s.certificates.resize(3, s.certificates.front()); },
       Fault::tls_handshake},
      {"no CA to verify clients with",
       [](ServerSettings& s) { s.client_certificate = ClientCertificate::required; },
       Fault::missing_secret},
      {"no CA to verify clients with",
       [](ServerSettings& s) { s.client_certificate = ClientCertificate::optional; },
       Fault::missing_secret},
      {"but none is asked for", [](ServerSettings& s) { s.roots = trust(root().pem()); },
       Fault::tls_handshake},
      {"but none is asked for", [](ServerSettings& s) { s.names = {"client.test"}; },
       Fault::tls_handshake},
      {"but none is asked for", [](ServerSettings& s) { s.certificate_hash = {Sha256{}}; },
       Fault::tls_handshake},
      {"the lowest version, TLS 1.3, is above the highest, TLS 1.2",
       [](ServerSettings& s) {
         s.lowest = Version::tls_1_3;
         s.highest = Version::tls_1_2;
       },
       Fault::tls_handshake},
  };
  for (const auto& c : cases) {
    auto settings = serving(ClientCertificate::none);
    c.change(settings);
    const auto made = PreparedServer::make(std::move(settings));
    ASSERT_FALSE(made) << c.reason;
    EXPECT_NE(made.error().context.find(c.reason), std::string::npos) << made.error().context;
    EXPECT_EQ(made.error().fault, c.fault) << c.reason;
    EXPECT_EQ(made.error().side, Side::local);
  }
}

}  // namespace
}  // namespace sallyport::tls
