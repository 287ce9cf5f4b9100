// What a connection says of itself for the log.
#include "tls/session_facts.h"

#include "tests/unit/tls/tls_pair.h"

namespace sallyport::tls {
namespace {

struct Established {
  Server server;
  ClientContext context;
  Pair pair;

  Established(TestServerSettings serving, const ClientSettings& asking)
      : server(std::move(serving)), pair(context.open(asking, nullptr).value(), server.accept()) {
    EXPECT_TRUE(pair.handshake()) << failure_of(*pair.client, Side::upstream).context;
  }
};

ClientSettings trusting() {
  ClientSettings settings;
  settings.roots = trust(root().pem());
  return settings;
}

TEST(SessionFacts, OfASimpleConnection) {
  const auto issued = root().issue({.common_name = "server",
                                    .dns = {"a.example.com", "b.example.com"},
                                    .uris = {"spiffe://td/ns/a/sa/b"}});
  Established tls12({.issued = issued, .version_max = TLS1_2_VERSION}, trusting());
  const SessionFacts facts = facts_of(*tls12.pair.client);
  EXPECT_EQ(facts.version, "TLSv1.2");
  EXPECT_TRUE(facts.cipher.starts_with("ECDHE-ECDSA-")) << facts.cipher;
  EXPECT_FALSE(facts.local);
  ASSERT_TRUE(facts.peer);
  EXPECT_EQ(facts.peer->info.subject, "CN=server");
  EXPECT_EQ(facts.peer->info.issuer, "CN=Test Root");
  EXPECT_EQ(facts.peer->info.dns_names,
            (std::vector<std::string>{"a.example.com", "b.example.com"}));
  EXPECT_EQ(facts.peer->info.uris, std::vector<std::string>{"spiffe://td/ns/a/sa/b"});
  EXPECT_EQ(facts.peer->info.not_after, issued.not_after);
  EXPECT_TRUE(issued.chain_pem.starts_with(facts.peer->pem)) << facts.peer->pem;
  EXPECT_EQ(facts.peer->sha256.size(), 64u);
  EXPECT_EQ(facts.peer->sha1.size(), 40u);
  EXPECT_EQ(facts.peer->sha256.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(SessionFacts, OfMutualTlsNameBothSides) {
  const auto issued = root().issue({.common_name = "server"});
  const auto ours = root().issue({.common_name = "us", .uris = {"spiffe://td/ns/u/sa/u"}});
  ClientSettings settings = trusting();
  settings.certificate = key_pair(ours);
  Established tls13({.issued = issued, .client_ca = root().pem()}, settings);
  tls13.pair.send(*tls13.pair.server, "x");  // behind the session ticket
  tls13.pair.receive(*tls13.pair.client, 1);
  const SessionFacts facts = facts_of(*tls13.pair.client);
  EXPECT_EQ(facts.version, "TLSv1.3");
  EXPECT_TRUE(facts.cipher.starts_with("TLS_")) << facts.cipher;
  ASSERT_TRUE(facts.local);
  EXPECT_EQ(facts.local->subject, "CN=us");
  EXPECT_EQ(facts.local->uris, std::vector<std::string>{"spiffe://td/ns/u/sa/u"});
  EXPECT_EQ(facts.peer->info.subject, "CN=server");
  EXPECT_EQ(facts.session_id.size(), 64u);
  const SessionFacts seen = facts_of(*tls13.pair.server);
  ASSERT_TRUE(seen.peer);
  EXPECT_EQ(seen.peer->info.subject, "CN=us");
}

}  // namespace
}  // namespace sallyport::tls
