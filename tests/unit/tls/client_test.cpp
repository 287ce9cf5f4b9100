// The client side against a real server: what is offered, sent and agreed on, and when a session is
// used again.
#include "tls/client.h"

#include <thread>

#include "agent/core/limits.h"
#include "tests/unit/tls/tls_pair.h"

namespace sallyport::tls {
namespace {

ClientSettings trusting(std::string sni = "a.example.com") {
  ClientSettings settings;
  settings.sni = std::move(sni);
  settings.roots = trust(root().pem());
  settings.names = {"a.example.com"};
  return settings;
}

TestServerSettings serving(int version = TLS1_3_VERSION) {
  static const test::Issued issued =
      root().issue({.common_name = "server", .dns = {"a.example.com"}});
  return {.issued = issued, .version_min = version, .version_max = version};
}

class Client : public testing::Test {
protected:
  Pair connect(Server& server, const ClientSettings& settings, SessionSlot* slot = nullptr) {
    auto ssl = context_.open(settings, slot);
    EXPECT_TRUE(ssl) << ssl.error().context;
    return {std::move(*ssl), server.accept()};
  }
  ClientContext context_;
};

TEST_F(Client, SpeaksTls12And13) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Server server(serving(version));
    Pair pair = connect(server, trusting());
    ASSERT_TRUE(pair.handshake()) << failure_of(*pair.client, Side::upstream).context;
    EXPECT_EQ(protocol_version(*pair.client), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    pair.send(*pair.client, "ping");
    EXPECT_EQ(pair.receive(*pair.server, 4), "ping");
    pair.send(*pair.server, "pong");
    EXPECT_EQ(pair.receive(*pair.client, 4), "pong");
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

TEST_F(Client, TakesTheMeshsVersionCiphersAndCurves) {
  Server tls12(serving(TLS1_2_VERSION)), tls13(serving(TLS1_3_VERSION));
  ClientSettings settings = trusting();
  settings.lowest = Version::tls_1_3;
  EXPECT_FALSE(connect(tls12, settings).handshake());
  EXPECT_TRUE(connect(tls13, settings).handshake());

  settings = trusting();
  settings.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
  settings.curves = "P-384:P-256";
  Pair one = connect(tls12, settings), other = connect(tls13, settings);
  ASSERT_TRUE(one.handshake() && other.handshake());
  EXPECT_EQ(cipher_name(*one.client), "ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_EQ(SSL_get_negotiated_group(other.client.get()), NID_secp384r1);
}

TEST_F(Client, RefusesCiphersOfWhichNoneCanBeUsed) {
  ClientSettings settings = trusting();
  settings.ciphers = "DES-CBC3-SHA";
  const auto ssl = context_.open(settings, nullptr);
  ASSERT_FALSE(ssl);
  EXPECT_NE(ssl.error().context.find("none of the cipher suites DES-CBC3-SHA can be used"),
            std::string::npos)
      << ssl.error().context;
}

TEST_F(Client, SendsTheNameButNeverAnIpLiteralAsSni) {
  const std::pair<const char*, const char*> cases[] = {
      {"a.example.com", "a.example.com"},
      {"a.example.com.", "a.example.com"},
      {"", "(none)"},
      {"10.0.0.1", "(none)"},
      {"2001:db8::1", "(none)"},
  };
  Server server(serving());
  for (const auto& [given, seen] : cases) {
    Pair pair = connect(server, trusting(given));
    EXPECT_TRUE(pair.handshake()) << given;
    EXPECT_EQ(server.seen_sni, seen) << given;
  }
}

TEST_F(Client, OffersAlpnInOrderOrNotAtAll) {
  TestServerSettings h1 = serving();
  h1.alpn = "http/1.1";
  Server server(h1);
  ClientSettings settings = trusting();
  settings.alpn = {"h2", "http/1.1"};
  Pair pair = connect(server, settings);
  ASSERT_TRUE(pair.handshake());
  EXPECT_EQ(selected_alpn(*pair.client), "http/1.1");

  Pair without = connect(server, trusting());
  ASSERT_TRUE(without.handshake()) << "the server would refuse any offer but its own";
  EXPECT_EQ(selected_alpn(*without.client), "");
}

TEST_F(Client, SendsItsChainOnlyWhenAsked) {
  const test::Authority issuer = root().intermediate("Client Issuer");
  ClientSettings settings = trusting();
  settings.certificate = key_pair(issuer.issue({.common_name = "client"}));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
    for (const bool asked : {true, false}) {
      TestServerSettings with = serving(version);
      if (asked) with.client_ca = root().pem();  // the intermediate must come from the client
      Server server(with);
      Pair pair = connect(server, settings);
      ASSERT_TRUE(pair.handshake()) << failure_of(*pair.client, Side::upstream).context;
      X509* const seen = SSL_get0_peer_certificate(pair.server.get());
      EXPECT_EQ(seen != nullptr, asked);
      if (seen) {
        EXPECT_EQ(X509_cmp(seen, settings.certificate->leaf()), 0);
      }
    }
}

TEST_F(Client, AServerThatMerelyAsksGetsNoneWhenNoneIsSet) {
  TestServerSettings with = serving();
  with.client_ca = root().pem();
  with.client_certificate_required = false;
  Server server(with);
  EXPECT_TRUE(connect(server, trusting()).handshake());
}

TEST_F(Client, SkipVerifyTakesAnyCertificate) {
  Server server({.issued = stranger().issue({.dns = {"other"}, .valid_to_s = -60})});
  ClientSettings settings;
  settings.skip_verify = true;
  settings.names = {"a.example.com"};
  EXPECT_TRUE(connect(server, settings).handshake());
}

TEST_F(Client, WithoutNamesTheChainAloneDecides) {
  Server server({.issued = root().issue({.common_name = "nameless"})});
  ClientSettings settings = trusting();
  settings.names.clear();
  EXPECT_TRUE(connect(server, settings).handshake());
}

TEST_F(Client, WithoutRootsNothingOpens) {
  ClientSettings settings = trusting();
  settings.roots = nullptr;
  const auto ssl = context_.open(settings, nullptr);
  ASSERT_FALSE(ssl);
  EXPECT_EQ(ssl.error().fault, Fault::missing_secret);
  EXPECT_EQ(ssl.error().context, "TLS error: no CA to verify the server with");
}

TEST_F(Client, WhatOpensslCannotOfferIsRefusedAtOnce) {
  ClientSettings long_name = trusting(std::string(256, 'a'));
  ClientSettings long_alpn = trusting();
  long_alpn.alpn = {std::string(256, 'a')};
  for (const ClientSettings& settings : {long_name, long_alpn}) {
    const auto ssl = context_.open(settings, nullptr);
    ASSERT_FALSE(ssl);
    EXPECT_EQ(ssl.error().fault, Fault::tls_handshake);
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

// --- Resumption

class Resumption : public Client, public testing::WithParamInterface<int> {
protected:
  // One whole connection, with data both ways (TLS 1.3 tickets come with it). True when it was a
  // resumed one.
  bool connect_resumes(Server& server, const ClientSettings& settings, SessionSlot& slot) {
    Pair pair = connect(server, settings, &slot);
    EXPECT_TRUE(pair.handshake()) << failure_of(*pair.client, Side::upstream).context;
    pair.send(*pair.server, "x");
    EXPECT_EQ(pair.receive(*pair.client, 1), "x");
    EXPECT_EQ(session_reused(*pair.client), SSL_session_reused(pair.server.get()) == 1);
    return session_reused(*pair.client);
  }
};

TEST_P(Resumption, ASlotGivesItsSessionToTheNextConnection) {
  Server server(serving(GetParam()));
  SessionSlot slot;
  const ClientSettings settings = trusting();
  EXPECT_FALSE(connect_resumes(server, settings, slot));
  for (int again = 0; again < 5; ++again) EXPECT_TRUE(connect_resumes(server, settings, slot));
}

// The same objects a day later: a full handshake, so that the chain is asked about.
TEST_P(Resumption, IsOverWhenACrlHasRunOut) {
  Server server(serving(GetParam()));
  SessionSlot slot;
  ClientSettings settings = trusting();
  EXPECT_FALSE(connect_resumes(server, settings, slot));
  EXPECT_TRUE(connect_resumes(server, settings, slot));
  settings.roots = trust(root().pem(), root().crl({}, -60));
  Pair pair = connect(server, settings, &slot);
  EXPECT_FALSE(pair.handshake());
  EXPECT_NE(failure_of(*pair.client, Side::upstream).context.find("CRL"), std::string::npos);
}

// The leaf lives for a day, who issued it for 100 s. OpenSSL's own limit is 300 s.
TEST_P(Resumption, IsOverWithTheFirstCertificateOfTheChain) {
  const auto issuer = root().intermediate("Short", {.valid_to_s = 100});
  Server server({.issued = issuer.issue({.dns = {"a.example.com"}}),
                 .version_min = GetParam(),
                 .version_max = GetParam()});
  const int64_t now = std::time(nullptr);
  SessionSlot slot;
  const ClientSettings settings = trusting();
  EXPECT_FALSE(connect_resumes(server, settings, slot));
  SessionPtr session = slot.take(now + 50);
  EXPECT_NE(session, nullptr);
  slot.put(std::move(session));
  EXPECT_TRUE(connect_resumes(server, settings, slot));
  EXPECT_EQ(slot.take(now + 150), nullptr) << "a resumed session's tickets hold no longer";
}

// Nobody looks at the chain, and so neither at its end.
TEST_P(Resumption, WithoutVerificationIsNotBoundByTheChain) {
  Server server(serving(GetParam()));
  SessionSlot slot;
  ClientSettings settings;
  settings.skip_verify = true;
  EXPECT_FALSE(connect_resumes(server, settings, slot));
  EXPECT_TRUE(connect_resumes(server, settings, slot));
}

TEST_P(Resumption, SlotsShareNothing) {
  Server server(serving(GetParam()));
  SessionSlot one, two;
  const ClientSettings settings = trusting();
  EXPECT_FALSE(connect_resumes(server, settings, one));
  EXPECT_FALSE(connect_resumes(server, settings, two));
}

TEST_P(Resumption, ASessionOfAClosedOrFailedWireStaysGood) {
  Server server(serving(GetParam()));
  SessionSlot slot;
  const ClientSettings settings = trusting();
  {
    Pair pair = connect(server, settings, &slot);
    ASSERT_TRUE(pair.handshake());
    pair.send(*pair.server, "x");
    EXPECT_EQ(pair.receive(*pair.client, 1), "x");
    pair.wire.client.broken = true;
    char byte;
    EXPECT_EQ(read_step(*pair.client, {&byte, 1}).bytes, -1);
  }
  EXPECT_TRUE(connect_resumes(server, settings, slot));
}

TEST_P(Resumption, ASlotKeepsNoMoreThanItsLimit) {
  Server server(serving(GetParam()));
  SessionSlot slot;
  for (int i = 0; i < 8; ++i) {
    SessionSlot other;
    connect_resumes(server, trusting(), other);
    while (SessionPtr session = other.take()) {
      const bool single_use = SSL_SESSION_get_protocol_version(session.get()) == TLS1_3_VERSION;
      slot.put(std::move(session));
      if (!single_use) break;
    }
  }
  std::size_t taken = 0;
  while (taken < 100 && slot.take()) ++taken;
  EXPECT_EQ(taken, GetParam() == TLS1_3_VERSION ? limits::tls_sessions_per_key : 100);
}

TEST_P(Resumption, AnOutdatedSessionIsNotOffered) {
  Server server(serving(GetParam()));
  SessionSlot slot;
  connect_resumes(server, trusting(), slot);
  SessionPtr session = slot.take();
  ASSERT_NE(session, nullptr);
  slot = {};
  SSL_SESSION_set_time(
      session.get(), SSL_SESSION_get_time(session.get()) - SSL_SESSION_get_timeout(session.get()));
  slot.put(std::move(session));
  EXPECT_EQ(slot.take(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(EachVersion, Resumption, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

TEST_F(Client, ATls13TicketIsUsedOnce) {
  Server server(serving());
  SessionSlot slot;
  Pair pair = connect(server, trusting(), &slot);
  ASSERT_TRUE(pair.handshake());
  pair.send(*pair.server, "x");
  pair.receive(*pair.client, 1);
  const SessionPtr one = slot.take(), two = slot.take();  // OpenSSL's server gives two
  ASSERT_TRUE(one && two);
  EXPECT_NE(one.get(), two.get());
  EXPECT_EQ(slot.take(), nullptr);
}

// --- Sharing

TEST(ClientThreads, WorkersShareTrustAndKeys) {
  const ClientSettings settings = [] {
    ClientSettings made = trusting();
    made.certificate = key_pair(root().issue({.common_name = "client"}));
    return made;
  }();
  TestServerSettings with = serving();
  with.client_ca = root().pem();
  std::atomic<int> done = 0;
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i)
    workers.emplace_back([&] {
      ClientContext context;
      Server server(with);
      for (int round = 0; round < 5; ++round)
        done += Pair(std::move(*context.open(settings, nullptr)), server.accept()).handshake();
    });
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(done, 20);
}

}  // namespace
}  // namespace sallyport::tls
