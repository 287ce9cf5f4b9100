#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>

#include "agent/core/limits.h"
#include "tls/connection.h"
#include "tls/x25519_provider.h"

namespace sallyport::tls {
namespace {

// BoringSSL's order on machines with AES instructions, so Envoy's.
constexpr const char* suites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* groups = "X25519:P-256";  // Envoy's

// Counts what a hostile peer may send without end and without any data; the BIO stops at the
// limit.
void count_messages(int written, int, int type, const void* bytes, std::size_t size, SSL* ssl,
                    void*) {
  if (written || size == 0) return;
  const auto first = *static_cast<const unsigned char*>(bytes);
  if (type == SSL3_RT_INNER_CONTENT_TYPE && first == SSL3_RT_APPLICATION_DATA) {
    connection_of(*ssl).messages = 0;
  } else if (type == SSL3_RT_HANDSHAKE &&
             (first == SSL3_MT_KEY_UPDATE || first == SSL3_MT_NEWSESSION_TICKET)) {
    Connection& connection = connection_of(*ssl);
    connection.writes_buffered = true;
    if (connection.messages <= limits::tls_messages_without_data) ++connection.messages;
  }
}

void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "sallyport: %s: %s\n", what, take_openssl_errors().c_str());
  std::abort();
}

}  // namespace

SslCtxPtr make_context(bool server, const char* ciphers) {
  const char* const properties = x25519_properties();
  must(properties != nullptr, "X25519 by libsodium");
  SslCtxPtr made(
      SSL_CTX_new_ex(nullptr, properties, server ? TLS_server_method() : TLS_client_method()));
  must(made != nullptr, "SSL_CTX_new");
  SSL_CTX* const context = made.get();
  SSL_CTX_set_security_level(context, security_level);
  must(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1, "TLS 1.2");
  must(SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1, "TLS 1.3");
  must(SSL_CTX_set_cipher_list(context, ciphers) == 1, "ciphers");
  must(SSL_CTX_set_ciphersuites(context, suites) == 1, "TLS 1.3 ciphers");
  must(SSL_CTX_set1_groups_list(context, groups) == 1, "curves");
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);  // The chain is what the secret holds.
  SSL_CTX_set_cert_verify_callback(context, verify_peer, nullptr);
  SSL_CTX_set_msg_callback(context, count_messages);
  ERR_clear_error();
  return made;
}

Error refused(Fault fault, Side side, std::string why) {
  const std::string reason = take_openssl_errors();
  if (!reason.empty()) why += ": " + reason;
  return {fault, side, false, "TLS error: " + why, {}};
}

namespace {

Result<void> taken(bool good, const certs::KeyPair& pair, Side side, const char* who) {
  if (good) return {};
  return refused(Fault::tls_handshake, side,
                 std::string(who) + " (subject \"" + pair.info().subject + "\")");
}

}  // namespace

Result<void> set_certificate(SSL& ssl, const certs::KeyPair& pair, Side side, const char* who) {
  bool good =
      SSL_use_certificate(&ssl, pair.leaf()) == 1 && SSL_use_PrivateKey(&ssl, pair.key()) == 1;
  for (X509* certificate : pair.intermediates())
    good = good && SSL_add1_chain_cert(&ssl, certificate) == 1;
  return taken(good, pair, side, who);
}

Result<void> set_certificate(SSL_CTX& context, const certs::KeyPair& pair, Side side,
                             const char* who) {
  bool good = SSL_CTX_use_certificate(&context, pair.leaf()) == 1 &&
              SSL_CTX_use_PrivateKey(&context, pair.key()) == 1;
  for (X509* certificate : pair.intermediates())
    good = good && SSL_CTX_add1_chain_cert(&context, certificate) == 1;
  return taken(good, pair, side, who);
}

namespace {

Result<void> set_versions(SSL& ssl, const Parameters& parameters, Side side) {
  bool good = true;  // make_context has set the usual ones
  if (parameters.lowest != Version::tls_1_2)
    good = SSL_set_min_proto_version(&ssl, number_of(parameters.lowest)) == 1;
  if (parameters.highest != Version::tls_1_3)
    good = good && SSL_set_max_proto_version(&ssl, number_of(parameters.highest)) == 1;
  // Their key exchange is signed with SHA-1 and MD5.
  if (parameters.lowest < Version::tls_1_2) SSL_set_security_level(&ssl, 0);
  if (good) return {};
  return refused(Fault::tls_handshake, side, versions_text(parameters.lowest, parameters.highest));
}

bool set_ciphers(SSL& ssl, const std::string& list) {
  if (SSL_get_security_level(&ssl) > 0) return SSL_set_cipher_list(&ssl, list.c_str()) == 1;
  const std::string safe = list + ":!aNULL:!eNULL";
  return SSL_set_cipher_list(&ssl, safe.c_str()) == 1;
}

}  // namespace

Result<void> set_parameters(SSL& ssl, const Parameters& parameters, Side side) {
  if (auto set = set_versions(ssl, parameters, side); !set) return set.error();
  const auto& ciphers = parameters.ciphers;
  if (!ciphers.empty() && !set_ciphers(ssl, ciphers))
    return refused(Fault::tls_handshake, side,
                   "none of the cipher suites " + ciphers + " can be used");
  const auto& curves = parameters.curves;
  if (!curves.empty() && SSL_set1_groups_list(&ssl, curves.c_str()) != 1)
    return refused(Fault::tls_handshake, side, "curves " + curves);
  return {};
}

}  // namespace sallyport::tls
