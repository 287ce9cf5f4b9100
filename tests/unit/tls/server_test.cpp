// The server's end of mutual TLS in the mesh: who is let in, why not, and who may resume.
#include "tls/server.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"
#include "tests/unit/tls/meeting.h"
#include "tls/session_facts.h"

namespace sallyport::tls {
namespace {

const test::Authority& mesh_root() {
  static const test::Authority root = test::Authority::root("Mesh Root");
  return root;
}

test::Issued workload(std::vector<std::string> uris, long from_s = -test::hour_s,
                      long to_s = test::day_s) {
  return mesh_root().issue(
      {.common_name = "", .uris = std::move(uris), .valid_from_s = from_s, .valid_to_s = to_s});
}

std::shared_ptr<const certs::KeyPair> pair_of(const test::Issued& issued) {
  return certs::KeyPair::parse(issued.chain_pem, issued.key_pem).value();
}

std::shared_ptr<const certs::TrustStore> roots() {
  static const auto store = certs::TrustStore::parse(mesh_root().pem()).value();
  return store;
}

ServerSettings mesh_settings() {
  ServerSettings settings;
  settings.certificates = {pair_of(workload({"spiffe://cluster.local/ns/default/sa/server"}))};
  settings.client_certificate = ClientCertificate::required;
  settings.roots = roots();
  settings.roots_name = "ROOTCA";
  settings.trust_domains = {"cluster.local", "old.example"};
  settings.alpn = {"http/1.1"};
  return settings;
}

ClientSettings client_with(std::shared_ptr<const certs::KeyPair> certificate) {
  ClientSettings settings;
  settings.sni = "outbound_.80_._.server.default.svc.cluster.local";
  settings.roots = roots();
  settings.certificate = std::move(certificate);
  return settings;
}

struct MeshMeeting : Meeting {
  MeshMeeting() : Meeting(mesh_settings(), ServerKind::mesh) {}
};

TEST(MeshServer, LetsInAClientOfItsTrustDomainAndKnowsWhoItIs) {
  MeshMeeting meeting;
  const auto met =
      meeting.meet(client_with(pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"}))));
  ASSERT_TRUE(SSL_is_init_finished(met->server.get()));
  const auto peer = peer_certificate(*met->server);
  ASSERT_TRUE(peer);
  EXPECT_TRUE(peer->verified);
  EXPECT_EQ(peer->info.uris, std::vector<std::string>{"spiffe://cluster.local/ns/a/sa/sleep"});
  EXPECT_EQ(peer->sha256.size(), 64u);
}

TEST(MeshServer, LetsInAClientOfAnAliasOfItsTrustDomain) {
  MeshMeeting meeting;
  EXPECT_EQ(meeting.refusal(client_with(pair_of(workload({"spiffe://old.example/ns/a/sa/sleep"})))),
            "");
}

struct BadClient {
  const char* name;
  test::Issued certificate;
  const char* reason;
};

TEST(MeshServer, NamesWhatIsWrongWithAClient) {
  const auto strangers = test::Authority::root("Strangers");
  const std::string id = "spiffe://cluster.local/ns/a/sa/sleep";
  const BadClient cases[] = {
      {"expired", workload({id}, -test::day_s, -60), "certificate expired on "},
      {"not yet valid", workload({id}, test::hour_s, test::day_s), "certificate not valid before "},
      {"of an unknown CA", strangers.issue({.common_name = "", .uris = {id}}),
       "unknown CA: issuer \"CN=Strangers\""},
      {"of another trust domain", workload({"spiffe://elsewhere/ns/a/sa/sleep"}),
       "[spiffe://elsewhere/ns/a/sa/sleep] is not of trust domain [cluster.local, old.example]"},
      {"without a URI", mesh_root().issue({.common_name = "sleep", .dns = {"sleep.a"}}),
       "has no URI SAN: a SPIFFE id of trust domain [cluster.local, old.example] is wanted; it has "
       "[sleep.a]"},
      {"with two URIs", workload({id, "spiffe://cluster.local/ns/a/sa/other"}),
       "has 2 URI SANs, a SPIFFE certificate has one"},
      {"with an https URI", workload({"https://cluster.local/ns/a/sa/sleep"}),
       "is not of trust domain"},
      {"with a trust domain that only begins like ours",
       workload({"spiffe://cluster.local.evil/ns/a/sa/sleep"}), "is not of trust domain"},
  };
  for (const auto& [name, certificate, reason] : cases) {
    MeshMeeting meeting;
    const auto seen = meeting.refusal(client_with(pair_of(certificate)));
    EXPECT_NE(seen.find("CERTIFICATE_VERIFY_FAILED: "), seen.npos) << name << ": " << seen;
    EXPECT_NE(seen.find(reason), seen.npos) << name << ": " << seen;
  }
}

TEST(MeshServer, NamesAClientWithoutACertificate) {
  MeshMeeting meeting;
  EXPECT_EQ(meeting.refusal(client_with(nullptr)),
            "TLS error: PEER_DID_NOT_RETURN_A_CERTIFICATE: the client showed no certificate");
}

TEST(MeshServer, RefusesAChainOfTooManyCAs) {
  const auto below = [](int depth) {
    test::Authority last = mesh_root();
    for (int i = 0; i < depth; i++) last = last.intermediate("CA " + std::to_string(i));
    return pair_of(last.issue({.uris = {"spiffe://cluster.local/ns/a/sa/sleep"}}));
  };
  MeshMeeting meeting;
  EXPECT_EQ(meeting.refusal(client_with(below(limits::client_chain_depth))), "");
  EXPECT_NE(MeshMeeting()
                .refusal(client_with(below(limits::client_chain_depth + 1)))
                .find("certificate chain too long"),
            std::string::npos);
}

TEST(MeshServer, RefusesCertificatesOfTooManyBytes) {
  std::vector<std::string> names;
  for (int i = 0; i < 6000; i++) names.push_back("name-" + std::to_string(i) + ".example.com");
  const auto huge =
      mesh_root().issue({.dns = names, .uris = {"spiffe://cluster.local/ns/a/sa/sleep"}});
  const auto seen = MeshMeeting().refusal(client_with(pair_of(huge)));
  EXPECT_NE(seen.find("EXCESSIVE_MESSAGE_SIZE"), seen.npos) << seen;
  EXPECT_NE(seen.find("a certificate chain may have 100 KiB"), seen.npos) << seen;
}

TEST(MeshServer, AnswersAlpnByItsOwnListOrGoesOnWithout) {
  const auto certificate = pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"}));
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"istio-http/1.1", "istio", "http/1.1"}, "http/1.1"},
      {{"istio-peer-exchange", "istio"}, ""},
      {{}, ""}};
  for (const auto& [offered, answer] : cases) {
    MeshMeeting meeting;
    auto client = client_with(certificate);
    client.alpn = offered;
    const auto met = meeting.meet(client);
    EXPECT_EQ(selected_alpn(*met->client), answer);
  }
}

TEST(MeshServer, ReadsWhatWasReadOfTheClientBefore) {
  MeshMeeting meeting;
  auto client = client_with(pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"})));
  Pair pair(meeting.client_context.open(client, nullptr).value(), nullptr);
  handshake_step(*pair.client);
  const std::string hello = pair.wire.to_server;
  ASSERT_FALSE(hello.empty());
  pair.wire.to_server.clear();
  pair.server = meeting.server_context->open(meeting.server, hello).value();
  attach(*pair.server, pair.wire.server);
  EXPECT_TRUE(pair.handshake());
}

TEST(MeshServer, AClientResumesWithoutShowingItsCertificateAgain) {
  MeshMeeting meeting;
  const auto client = client_with(pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"})));
  EXPECT_FALSE(session_reused(*meeting.meet(client)->server));
  const auto again = meeting.meet(client);
  EXPECT_TRUE(session_reused(*again->server));
  EXPECT_EQ(peer_certificate(*again->server)->info.uris.at(0),
            "spiffe://cluster.local/ns/a/sa/sleep");
}

TEST(MeshServer, ATicketOfOneWorkerIsGoodOnAnother) {
  MeshMeeting one, other;
  const auto client = client_with(pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"})));
  one.meet(client);
  other.server = one.server;
  Pair pair(one.client_context.open(client, &one.slot).value(),
            other.server_context->open(other.server, "").value());
  ASSERT_TRUE(pair.handshake());
  EXPECT_TRUE(session_reused(*pair.server));
}

TEST(MeshServer, NobodyResumesUnderOtherRootsOrTrustDomains) {
  for (const bool other_roots : {true, false}) {
    MeshMeeting meeting;
    const auto client = client_with(pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"})));
    meeting.meet(client);
    auto changed = mesh_settings();
    if (other_roots) changed.roots = certs::TrustStore::parse(mesh_root().pem()).value();
    if (!other_roots) changed.trust_domains = {"cluster.local"};
    meeting.server = prepared(std::move(changed));
    const auto again = meeting.meet(client);
    ASSERT_TRUE(SSL_is_init_finished(again->server.get()));
    EXPECT_FALSE(session_reused(*again->server)) << "other roots: " << other_roots;
  }
}

TEST(MeshServer, NobodyResumesBeyondTheEndOfItsCertificate) {
  MeshMeeting meeting;
  const auto client =
      client_with(pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"}, -test::hour_s, 1)));
  ASSERT_TRUE(SSL_is_init_finished(meeting.meet(client)->server.get()));
  const auto end = std::time(nullptr) + 2;
  while (std::time(nullptr) < end) usleep(50'000);
  const auto seen = meeting.refusal(client);
  EXPECT_NE(seen.find("certificate expired"), seen.npos) << seen;
}

TEST(MeshServer, OneTicketGoesOutWithTheFirstAnswerAndNoneBefore) {
  MeshMeeting meeting;
  const auto client = client_with(pair_of(workload({"spiffe://cluster.local/ns/a/sa/sleep"})));
  Pair pair(meeting.client_context.open(client, &meeting.slot).value(),
            meeting.server_context->open(meeting.server, "").value());
  ASSERT_TRUE(pair.handshake());
  EXPECT_TRUE(pair.wire.to_client.empty());
  char bytes[] = "answer";
  ASSERT_EQ(write_step(*pair.server, bytes).bytes, ssize_t(sizeof bytes));
  EXPECT_FALSE(meeting.slot.take());
  char into[64];
  EXPECT_EQ(read_step(*pair.client, into).bytes, ssize_t(sizeof bytes));
  EXPECT_TRUE(meeting.slot.take());
  EXPECT_FALSE(meeting.slot.take());
}

}  // namespace
}  // namespace sallyport::tls
