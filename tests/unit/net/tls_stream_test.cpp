// Streams over TLS: the same operations, through OpenSSL, with both ends on one loop.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "agent/net/combine.h"
#include "agent/net/relay.h"
#include "tests/unit/net/support.h"
#include "tests/unit/net/system_calls.h"
#include "tls/client.h"

namespace sallyport::net {
namespace {

// A server's context with a self-signed certificate of its own.
tls::SslCtxPtr server_context() {
  tls::SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("server.example.com"), -1, -1,
                             0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key), 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

struct TlsStream : testing::Test {
  Loop loop;
  tls::SslCtxPtr server_side = server_context();
  tls::ClientContext client_side;
  Stream client, server;

  TlsStream() { std::tie(client, server) = tcp_pair(loop); }
  void SetUp() override {
    tls::ClientSettings settings;
    settings.skip_verify = true;
    auto ssl = client_side.open(settings, nullptr);
    ASSERT_TRUE(ssl) << ssl.error().context;
    client.start_tls(std::move(*ssl));
  }
  void accept_tls() {
    tls::SslPtr ssl(SSL_new(server_side.get()));
    SSL_set_accept_state(ssl.get());
    server.start_tls(std::move(ssl));
  }
  static Task<void> shake(Stream& stream) {
    stream.set_deadline(60s);
    EXPECT_EQ(co_await stream.handshake(), 1) << stream.failure(Side::upstream).context;
  }
  void shake_hands() {
    accept_tls();
    run(loop, when_both(shake(client), shake(server)));
  }
};

TEST_F(TlsStream, CarriesBytesAndItsEndEachWay) {
  shake_hands();
  EXPECT_TRUE(client.is_tls());
  const std::string request = pattern(3 << 20), answer = pattern(2 << 20);
  std::string got_request, got_answer;
  loop.spawn(write_and_end(client, request));
  loop.spawn(write_and_end(server, answer));
  loop.spawn(read_all_into(server, got_request));
  loop.spawn(read_all_into(client, got_answer));
  run_all(loop);
  EXPECT_TRUE(got_request == request);
  EXPECT_TRUE(got_answer == answer);
}

Task<void> write_head_and_body_once(Stream& stream) {
  EXPECT_TRUE(co_await stream.write_all("head and body"));
}

Task<void> read_to_the_end(Stream& stream, std::string& got) {
  char room[64];
  stream.set_deadline(60s);
  co_await stream.ready(Want::read);
  for (;;) {
    const auto step = stream.try_read(room);
    if (step.want != Want::nothing) {
      co_await stream.ready(Want::read);
      continue;
    }
    if (step.bytes <= 0) break;
    got.append(room, std::size_t(step.bytes));
  }
  EXPECT_TRUE(stream.more_at_hand()) << "the end was read ahead by one, and another asks for it";
  EXPECT_EQ(co_await stream.read(room), 0);
  EXPECT_EQ(co_await read_unless_ended(stream, std::span<char>(room), stream), 0);
}

// As `openssl s_server -www` does: close_notify, and the connection stays open until we close ours.
TEST_F(TlsStream, ACloseNotifyWithoutAFinIsAnEndForEveryReader) {
  shake_hands();
  std::string got;
  run(loop, write_head_and_body_once(server));
  EXPECT_GE(SSL_shutdown(server.ssl()), 0);
  run(loop, read_to_the_end(client, got));
  EXPECT_EQ(got, "head and body");
}

Task<void> write_head_and_body(Stream& stream, int times) {
  for (int i = 0; i < times; i++) {
    std::string head(200, 'h'), body(2000, 'b');
    iovec pieces[] = {{head.data(), head.size()}, {body.data(), body.size()}};
    EXPECT_TRUE(co_await stream.write_all(pieces));
  }
}

TEST_F(TlsStream, AMessageOfSeveralPiecesIsOneRecordAndOneSend) {
  shake_hands();
  std::string got;
  run(loop, sleep_for(loop, 1ms));
  system_calls = {};
  run(loop, write_head_and_body(client, 10));
  EXPECT_EQ(system_calls.send, 10);
  client.shutdown_write();
  run(loop, read_all_into(server, got));
  EXPECT_EQ(got.size(), 22'000u);
  EXPECT_EQ(got.substr(2200, 200), std::string(200, 'h'));
}

Task<void> write_many_pieces(Stream& stream, std::string& bytes) {
  std::vector<iovec> pieces;
  std::size_t at = 0;
  for (std::size_t i = 0; at < bytes.size(); i++) {
    const std::size_t size =
        std::min(bytes.size() - at, i * 7919 % 40'000);  // empty ones and such above a record
    pieces.push_back({bytes.data() + at, size});
    at += size;
  }
  EXPECT_TRUE(co_await stream.write_all(pieces));
  stream.shutdown_write();
}

TEST_F(TlsStream, PiecesOfAnySizeArriveInOrderThroughBackpressure) {
  shake_hands();
  std::string much = pattern(6 << 20), got;
  loop.spawn(write_many_pieces(client, much));
  loop.spawn(read_all_into(server, got));
  run_all(loop);
  EXPECT_TRUE(got == pattern(6 << 20));
}

TEST_F(TlsStream, BytesLeftInARecordAreAtHandWithoutTheSocket) {
  shake_hands();
  std::string first;
  loop.spawn(write_and_end(client, "0123456789"));
  run_all(loop);
  char room[4];
  struct Read {
    static Task<void> some(Stream& stream, std::span<char> into) {
      EXPECT_EQ(co_await stream.read(into), 4);
    }
  };
  run(loop, Read::some(server, room));
  EXPECT_TRUE(server.more_at_hand());
  run(loop, Read::some(server, room));
  run(loop, read_all_into(server, first));
  EXPECT_EQ(first, "89");
}

Task<void> shake_in_vain(Stream& stream, Error& error) {
  EXPECT_EQ(co_await stream.handshake(), -1);
  error = stream.failure(Side::upstream);
}

TEST_F(TlsStream, APeerThatSpeaksPlainHttpIsNamed) {
  Error error;
  loop.spawn(write_and_end(server, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
  run(loop, shake_in_vain(client, error));
  EXPECT_EQ(error.fault, Fault::tls_handshake);
  EXPECT_EQ(error.side, Side::upstream);
  EXPECT_NE(error.context.find("HTTP"), std::string::npos) << error.context;
}

TEST_F(TlsStream, AResetInTheHandshakeIsNamed) {
  Error error;
  server.abort();
  run(loop, shake_in_vain(client, error));
  EXPECT_EQ(error.fault, Fault::reset);
  EXPECT_TRUE(error.context.starts_with("TLS handshake: ")) << error.context;
}

TEST_F(TlsStream, ASilentPeerTimesOut) {
  Error error;
  client.set_deadline(1ms);
  run(loop, shake_in_vain(client, error));
  EXPECT_EQ(error.fault, Fault::timed_out);
}

Task<void> relay_it(Stream& one, Stream& other, RelayCounts& counts, RelayEnd& end) {
  end = co_await relay(one, other, counts, 1h);
  one.close();  // The end of the later direction goes on with this alone.
  other.close();
}

TEST_F(TlsStream, ARelayBetweenPlainAndTlsCarriesBulkBothWays) {
  shake_hands();
  auto [near, one] = tcp_pair(loop);
  RelayCounts counts;
  RelayEnd end;
  loop.spawn(relay_it(one, client, counts, end));
  const std::string up = pattern(3 << 20), down = pattern(4 << 20);
  std::string got_up, got_down;
  loop.spawn(write_and_end(near, up));
  loop.spawn(write_and_end(server, down));
  loop.spawn(read_all_into(server, got_up));
  loop.spawn(read_all_into(near, got_down));
  run_all(loop);
  EXPECT_TRUE(got_up == up);
  EXPECT_TRUE(got_down == down);
  EXPECT_EQ(counts.from_client, up.size());
  EXPECT_EQ(counts.to_client, down.size());
  EXPECT_FALSE(end.error) << end.error->context;
}

TEST_F(TlsStream, ClosingSaysGoodbye) {
  shake_hands();
  run(loop, sleep_for(loop, 1ms));
  client.close();
  std::string got;
  run(loop, read_all_into(server, got));
  EXPECT_NE(SSL_get_shutdown(server.ssl()) & SSL_RECEIVED_SHUTDOWN, 0);
}

}  // namespace
}  // namespace sallyport::net
