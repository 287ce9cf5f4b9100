// Steps over the BIO with read-ahead: bytes arrive whole however the wire cuts them, with few
// reads, and ends are told apart.
#include "agent/core/limits.h"
#include "tests/unit/tls/tls_pair.h"

namespace sallyport::tls {
namespace {

constexpr std::size_t record_bytes = 16 * 1024;  // the longest record's data

class Steps : public testing::TestWithParam<int> {
protected:
  Steps()
      : server_({.issued = root().issue({.dns = {"a.example.com"}}),
                 .version_min = GetParam(),
                 .version_max = GetParam()}) {}

  Pair open() {
    ClientSettings settings;
    settings.roots = trust(root().pem());
    settings.names = {"a.example.com"};
    return {std::move(*context_.open(settings, &slot_)), server_.accept()};
  }
  Pair connected() {
    Pair pair = open();
    EXPECT_TRUE(pair.handshake());
    pair.send(*pair.server, "x");
    EXPECT_EQ(pair.receive(*pair.client, 1), "x");  // tickets have been read
    return pair;
  }

  SessionSlot slot_;
  ClientContext context_;
  Server server_;
};

TEST_P(Steps, OneReadBringsManySmallRecords) {
  Pair pair = connected();
  for (int i = 0; i < 100; ++i) pair.send(*pair.server, "0123456789");
  pair.wire.client.reads = 0;
  char record[64];
  ASSERT_EQ(read_step(*pair.client, record).bytes, 10);
  EXPECT_EQ(pair.wire.client.reads, 1);
  EXPECT_TRUE(bytes_at_hand(*pair.client));
  EXPECT_EQ(pair.receive(*pair.client, 990).size(), 990u);
  EXPECT_EQ(pair.wire.client.reads, 1);
  EXPECT_FALSE(bytes_at_hand(*pair.client));
}

TEST_P(Steps, BulkDataTakesAReadForEachRecord) {
  Pair pair = connected();
  const std::string bulk(1024 * 1024, 'b');
  pair.send(*pair.server, bulk);
  const std::size_t on_the_wire = pair.wire.to_client.size();
  pair.wire.client.reads = 0;
  EXPECT_EQ(pair.receive(*pair.client, bulk.size()), bulk);
  EXPECT_LE(static_cast<std::size_t>(pair.wire.client.reads), on_the_wire / record_bytes + 2);
}

TEST_P(Steps, AWireOfSingleBytesThatStuttersCarriesAllOfIt) {
  Pair pair = open();
  for (WireEnd* end : {&pair.wire.client, &pair.wire.server}) {
    end->bytes_max = 1;
    end->stutters = true;
  }
  ASSERT_TRUE(pair.handshake()) << failure_of(*pair.client, Side::upstream).context;
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>('a' + i % 26);
  pair.send(*pair.client, text);
  EXPECT_EQ(pair.receive(*pair.server, text.size()), text);
  pair.send(*pair.server, text);
  EXPECT_EQ(pair.receive(*pair.client, text.size()), text);
}

TEST_P(Steps, AStepThatMustWaitSaysForWhat) {
  Pair pair = connected();
  char byte;
  EXPECT_EQ(read_step(*pair.client, {&byte, 1}).want, Want::read);
  pair.wire.client.bytes_max = 0;
  pair.wire.client.stutters = true;
  IoStep step = write_step(*pair.client, std::string_view("blocked"));
  EXPECT_EQ(step.want, Want::write);
  pair.wire.client.bytes_max = SIZE_MAX;
  pair.wire.client.stutters = false;
  std::string moved = "blocked";  // the same bytes elsewhere: buffers may move between attempts
  step = write_step(*pair.client, moved);
  EXPECT_EQ(step.bytes, 7);
  EXPECT_EQ(pair.receive(*pair.server, 7), "blocked");
}

TEST_P(Steps, AMessageIsOneWrite) {
  Pair pair = connected();
  pair.wire.client.writes = 0;
  pair.send(*pair.client, std::string(8000, 'm'));
  EXPECT_EQ(pair.wire.client.writes, 1);
}

TEST_P(Steps, CloseNotifyIsTheEndAndTheOtherWayStaysOpen) {
  Pair pair = connected();
  pair.send(*pair.server, "last");
  EXPECT_EQ(shutdown_step(*pair.server).bytes, 1);
  EXPECT_EQ(pair.receive(*pair.client, 100), "last");
  EXPECT_FALSE(pair.failed);
  pair.send(*pair.client, "still here");
  EXPECT_EQ(pair.receive(*pair.server, 10), "still here");
}

TEST_P(Steps, AnEndBetweenRecordsIsTheEndAsInEnvoy) {
  Pair pair = connected();
  pair.send(*pair.server, "last");
  pair.wire.client.peer_closed = true;
  EXPECT_EQ(pair.receive(*pair.client, 100), "last");
  EXPECT_FALSE(pair.failed);
}

TEST_P(Steps, AnEndWithinARecordIsAFailure) {
  Pair pair = connected();
  pair.send(*pair.server, "last");
  pair.wire.to_client.resize(pair.wire.to_client.size() - 2);
  pair.wire.client.peer_closed = true;
  EXPECT_EQ(pair.receive(*pair.client, 100), "");
  ASSERT_TRUE(pair.failed);
  const Error error = failure_of(*pair.client, Side::upstream);
  EXPECT_EQ(error.fault, Fault::reset);
  EXPECT_EQ(error.context, "TLS error: the server closed the connection within a TLS record");
  EXPECT_FALSE(error.retryable);
}

TEST_P(Steps, ABrokenWireIsAReset) {
  Pair pair = connected();
  pair.wire.client.broken = true;
  EXPECT_EQ(pair.receive(*pair.client, 1), "");
  ASSERT_TRUE(pair.failed);
  EXPECT_EQ(failure_of(*pair.client, Side::upstream).fault, Fault::reset);
  EXPECT_EQ(write_step(*pair.client, std::string_view("x")).bytes, -1);
}

TEST_P(Steps, AForgedRecordIsAFailure) {
  Pair pair = connected();
  pair.send(*pair.server, "message");
  pair.wire.to_client.back() ^= 1;
  EXPECT_EQ(pair.receive(*pair.client, 100), "");
  ASSERT_TRUE(pair.failed);
  const Error error = failure_of(*pair.client, Side::upstream);
  EXPECT_NE(error.context.find("BAD_RECORD_MAC"), std::string::npos) << error.context;
}

TEST_P(Steps, AnSslThatNeverHandshookIsFreed) {
  Pair pair = open();
  EXPECT_EQ(handshake_step(*pair.client).want, Want::read);
  EXPECT_EQ(shutdown_step(*pair.client).bytes, 1) << "nothing to say good-bye to";
}

TEST_P(Steps, BuffersOfAnIdleConnectionGoBackAndItStillWorks) {
  Pair pair = connected();
  release_buffers(*pair.client);
  pair.send(*pair.server, "again");
  EXPECT_EQ(pair.receive(*pair.client, 5), "again");
}

INSTANTIATE_TEST_SUITE_P(EachVersion, Steps, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

// --- What only one version has

Pair connected_pair(ClientContext& context, Server& server, SessionSlot* slot) {
  ClientSettings settings;
  settings.roots = trust(root().pem());
  Pair pair(std::move(*context.open(settings, slot)), server.accept());
  EXPECT_TRUE(pair.handshake());
  return pair;
}

TEST(Tls13, KeyUpdatesAreFollowedButNotWithoutEnd) {
  ClientContext context;
  Server server({.issued = root().issue({})});
  Pair pair = connected_pair(context, server, nullptr);
  const auto update = [&] {
    ASSERT_EQ(SSL_key_update(pair.server.get(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(pair.server.get()), 1);
  };
  for (int i = 0; i < 100; ++i) {  // with data between: as many as it likes
    update();
    pair.send(*pair.server, "x");
    ASSERT_EQ(pair.receive(*pair.client, 1), "x");
  }
  for (int i = 0; i < 2000; ++i) {
    update();
    if (pair.wire.to_client.size() < record_bytes) continue;
    pair.receive(*pair.client, 1);
    if (pair.failed) break;
  }
  ASSERT_TRUE(pair.failed);
  const Error error = failure_of(*pair.client, Side::upstream);
  EXPECT_EQ(error.context,
            "TLS error: TOO_MANY_KEY_UPDATES: the server sends tickets or key updates without end");
  EXPECT_EQ(error.fault, Fault::protocol);
}

TEST(Tls12, AServerThatRenegotiatesIsRefused) {
  ClientContext context;
  Server server({.issued = root().issue({}), .version_max = TLS1_2_VERSION});
  Pair pair = connected_pair(context, server, nullptr);
  ASSERT_EQ(SSL_renegotiate(pair.server.get()), 1);
  SSL_do_handshake(pair.server.get());  // HelloRequest
  char byte;
  EXPECT_EQ(read_step(*pair.client, {&byte, 1}).want, Want::read);
  EXPECT_EQ(read_step(*pair.server, {&byte, 1}).bytes, -1);
  EXPECT_NE(failure_of(*pair.server, Side::downstream).context.find("NO_RENEGOTIATION"),
            std::string::npos);
  EXPECT_TRUE(SSL_is_init_finished(pair.client.get())) << "the client began no new handshake";
}

}  // namespace
}  // namespace sallyport::tls
