// A client of ours and an OpenSSL server at the two ends of a wire in memory.
#pragma once
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/test_certs.h"
#include "tls/client.h"
#include "tls/ssl.h"

namespace sallyport::tls {

// One end of the wire. What it does badly is set by the test.
class WireEnd final : public Transport {
public:
  WireEnd(std::string& in, std::string& out) : in_(in), out_(out) {}

  std::size_t bytes_max = SIZE_MAX;  // a call moves no more
  bool stutters = false;             // every second call has to wait
  bool peer_closed = false, broken = false;
  int reads = 0, writes = 0;  // calls that moved bytes

  IoStep transport_read(char* into, std::size_t size) override {
    if (broken) return {-1, Want::nothing};
    if (stutters && (waits_ = !waits_)) return {0, Want::read};
    if (in_.empty()) return peer_closed ? IoStep{0, Want::nothing} : IoStep{0, Want::read};
    const std::size_t bytes = std::min({size, bytes_max, in_.size()});
    in_.copy(into, bytes);
    in_.erase(0, bytes);
    ++reads;
    return {static_cast<ssize_t>(bytes), Want::nothing};
  }
  IoStep transport_write(const char* from, std::size_t size) override {
    if (broken) return {-1, Want::nothing};
    if (stutters && (waits_ = !waits_)) return {0, Want::write};
    const std::size_t bytes = std::min(size, bytes_max);
    out_.append(from, bytes);
    ++writes;
    return {static_cast<ssize_t>(bytes), Want::nothing};
  }

private:
  std::string& in_;
  std::string& out_;
  bool waits_ = false;
};

struct Wire {
  std::string to_client, to_server;
  WireEnd client{to_client, to_server}, server{to_server, to_client};
};

struct TestServerSettings {
  test::Issued issued;
  int version_min = TLS1_2_VERSION, version_max = TLS1_3_VERSION;
  std::string client_ca = {};  // PEM; set: a client certificate is asked for
  bool client_certificate_required = true;
  std::string alpn = {};          // the one protocol it speaks; another is answered by an alert
  bool knows_sni = true;          // false: unrecognized_name
  const char* ciphers = nullptr;  // of TLS 1.2
};

// The server's context: plain OpenSSL, so that the client is measured against another hand's work.
class Server {
public:
  explicit Server(TestServerSettings settings)
      : settings_(std::move(settings)), context_(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX* const context = context_.get();
    const auto pair = certs::KeyPair::parse(settings_.issued.chain_pem, settings_.issued.key_pem);
    EXPECT_TRUE(pair) << pair.error().context;
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_options(context, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    SSL_CTX_set_min_proto_version(context, settings_.version_min);
    SSL_CTX_set_max_proto_version(context, settings_.version_max);
    if (settings_.ciphers) SSL_CTX_set_cipher_list(context, settings_.ciphers);
    SSL_CTX_use_certificate(context, (*pair)->leaf());
    SSL_CTX_use_PrivateKey(context, (*pair)->key());
    for (X509* certificate : (*pair)->intermediates())
      SSL_CTX_add1_chain_cert(context, certificate);
    SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>("test"), 4);
    if (!settings_.client_ca.empty()) {
      trust_ = certs::TrustStore::parse(settings_.client_ca).value();
      SSL_CTX_set1_verify_cert_store(context, trust_->store());
      SSL_CTX_set_verify(
          context,
          SSL_VERIFY_PEER |
              (settings_.client_certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
          nullptr);
    }
    if (!settings_.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, choose_protocol, this);
    SSL_CTX_set_tlsext_servername_callback(context, take_sni);
    SSL_CTX_set_tlsext_servername_arg(context, this);
    ERR_clear_error();
  }
  Server(const Server&) = delete;

  SslPtr accept() {
    SslPtr ssl(SSL_new(context_.get()));
    SSL_set_accept_state(ssl.get());
    return ssl;
  }

  std::string seen_sni;  // of the last ClientHello; "(none)" when it had none

private:
  static int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                             const unsigned char* in, unsigned in_size, void* self) {
    const std::string& ours = static_cast<Server*>(self)->settings_.alpn;
    for (unsigned at = 0; at < in_size; at += 1 + in[at])
      if (std::string_view(reinterpret_cast<const char*>(in + at + 1), in[at]) == ours) {
        *out = in + at + 1;
        *out_size = in[at];
        return SSL_TLSEXT_ERR_OK;
      }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  static int take_sni(SSL* ssl, int* alert, void* self) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    static_cast<Server*>(self)->seen_sni = name ? name : "(none)";
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return static_cast<Server*>(self)->settings_.knows_sni ? SSL_TLSEXT_ERR_OK
                                                           : SSL_TLSEXT_ERR_ALERT_FATAL;
  }

  TestServerSettings settings_;
  SslCtxPtr context_;
  std::shared_ptr<const certs::TrustStore> trust_;
};

// Client and server on a wire, in lockstep.
struct Pair {
  Wire wire;
  SslPtr client, server;

  Pair(SslPtr client_ssl, SslPtr server_ssl)
      : client(std::move(client_ssl)), server(std::move(server_ssl)) {
    attach(*client, wire.client);
    if (server) attach(*server, wire.server);
  }

  // True when both ends are done. A server that fails closes the wire; the client may then still
  // read from it.
  bool handshake() {
    bool server_done = false, server_failed = false;
    for (int turn = 0; turn < 200'000 && !(client_done && (server_done || server_failed)); ++turn) {
      if (!client_done) {
        const IoStep step = handshake_step(*client);
        if (step.want == Want::nothing && step.bytes != 1) return false;
        client_done = step.want == Want::nothing;
      }
      if (!server_done && !server_failed) {
        const IoStep step = handshake_step(*server);
        server_done = step.want == Want::nothing && step.bytes == 1;
        server_failed = step.want == Want::nothing && step.bytes != 1;
        wire.client.peer_closed = server_failed;
      }
    }
    return client_done && server_done;
  }

  void send(SSL& from, std::string_view text) {
    while (!text.empty()) {
      const IoStep step = write_step(from, text);
      ASSERT_GE(step.bytes, 0);
      if (step.want == Want::nothing) text.remove_prefix(static_cast<std::size_t>(step.bytes));
    }
  }

  // Reads until `size` bytes are there, or the end, or a failure (then also sets `failed`).
  std::string receive(SSL& at, std::size_t size) {
    std::string text;
    char block[4096];
    for (int turn = 0; turn < 200'000 && text.size() < size; ++turn) {
      const IoStep step = read_step(at, {block, std::min(sizeof block, size - text.size())});
      if (step.want != Want::nothing) continue;
      failed = step.bytes < 0;
      if (step.bytes <= 0) break;
      text.append(block, static_cast<std::size_t>(step.bytes));
    }
    return text;
  }
  bool failed = false;
  bool client_done = false;  // its handshake
};

inline std::shared_ptr<const certs::KeyPair> key_pair(const test::Issued& issued) {
  return certs::KeyPair::parse(issued.chain_pem, issued.key_pem).value();
}
inline std::shared_ptr<const certs::TrustStore> trust(const std::string& ca,
                                                      const std::string& crl = "") {
  return certs::TrustStore::parse(ca, crl).value();
}

// An authority for a whole test program, and one that nobody trusts.
inline const test::Authority& root() {
  static const test::Authority authority = test::Authority::root("Test Root");
  return authority;
}
inline const test::Authority& stranger() {
  static const test::Authority authority = test::Authority::root("Stranger");
  return authority;
}

}  // namespace sallyport::tls
