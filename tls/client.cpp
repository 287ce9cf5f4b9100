#include "tls/client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "agent/core/address.h"
#include "agent/core/limits.h"
#include "certs/describe.h"
#include "tls/connection.h"
#include "tls/verify.h"

namespace sallyport::tls {
namespace {

// Envoy's defaults for clients (TLS 1.3's suites are not configurable there either).
constexpr const char* ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr const char* groups = "X25519:P-256";
constexpr int security_level =
    2;  // RSA from 2048 bits, no SHA-1 signatures: Debian's, and independent of openssl.cnf

// A session shows no chain when it is resumed, so that it remembers when the one ends that it
// vouches for: Connection::chain_ends, as a number in a pointer's place.
int chain_ends_index() {
  static const int index = SSL_SESSION_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int64_t chain_ends(const SSL_SESSION& session) {
  return reinterpret_cast<intptr_t>(SSL_SESSION_get_ex_data(&session, chain_ends_index()));
}

// Runs for each session a server gives: with TLS 1.3 after the handshake, perhaps several.
int keep_session(SSL* ssl, SSL_SESSION* session) {
  const Connection& connection = connection_of(*ssl);
  if (!connection.slot) return 0;
  void* const ends = reinterpret_cast<void*>(static_cast<intptr_t>(connection.chain_ends));
  if (SSL_SESSION_set_ex_data(session, chain_ends_index(), ends) != 1) return 0;
  connection.slot->put(SessionPtr(session));
  return 1;  // the reference is ours now
}

// Runs only when the server asks for a certificate; OpenSSL then sends the one that is set, if any.
int note_request(SSL* ssl, void*) {
  if (auto& handshake = connection_of(*ssl).handshake) handshake->certificate_wanted = true;
  return 1;
}

// Counts what a hostile server may send without end and without any data; the BIO stops at the
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

Error refused(Fault fault, std::string why) {
  const std::string reason = take_openssl_errors();
  if (!reason.empty()) why += ": " + reason;
  return {fault, Side::upstream, false, "TLS error: " + why, {}};
}

Result<void> set_sni(SSL& ssl, std::string_view name, Handshake& handshake) {
  if (name.ends_with('.')) name.remove_suffix(1);  // RFC 6066: without it
  if (name.empty() || IpAddress::parse(name)) return {};
  const std::string host(name);
  if (SSL_set_tlsext_host_name(&ssl, host.c_str()) != 1)
    return refused(Fault::tls_handshake, "SNI \"" + certs::printable(host, 253) + "\"");
  handshake.offered = "SNI " + certs::printable(host, 253);
  return {};
}

Result<void> set_alpn(SSL& ssl, const std::vector<std::string>& protocols, Handshake& handshake) {
  if (protocols.empty()) return {};
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255)
      return refused(Fault::tls_handshake, "ALPN name of " + std::to_string(protocol.size()) +
                                               " bytes (1 to 255 are allowed)");
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  if (SSL_set_alpn_protos(&ssl, reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned>(wire.size())) != 0)
    return refused(Fault::tls_handshake, "ALPN " + list_text(protocols));
  handshake.offered += (handshake.offered.empty() ? "ALPN " : ", ALPN ") + list_text(protocols);
  return {};
}

Result<void> set_certificate(SSL& ssl, const certs::KeyPair& pair) {
  bool good =
      SSL_use_certificate(&ssl, pair.leaf()) == 1 && SSL_use_PrivateKey(&ssl, pair.key()) == 1;
  for (X509* certificate : pair.intermediates())
    good = good && SSL_add1_chain_cert(&ssl, certificate) == 1;
  if (good) return {};
  return refused(Fault::tls_handshake,
                 "client certificate (subject \"" + pair.info().subject + "\")");
}

Result<void> set_verification(SSL& ssl, const ClientSettings& settings) {
  if (settings.skip_verify) {
    SSL_set_verify(&ssl, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  if (!settings.roots) return refused(Fault::missing_secret, "no CA to verify the server with");
  SSL_set_verify(&ssl, SSL_VERIFY_PEER, nullptr);
  if (SSL_set1_verify_cert_store(&ssl, settings.roots->store()) != 1)
    return refused(Fault::tls_handshake, "CA");
  return {};
}

// Parsed anew for each connection, which only those pay who set them.
Result<void> set_parameters(SSL& ssl, const ClientSettings& settings) {
  if (settings.only_tls_1_3) SSL_set_min_proto_version(&ssl, TLS1_3_VERSION);
  if (!settings.ciphers.empty() && SSL_set_cipher_list(&ssl, settings.ciphers.c_str()) != 1)
    return refused(Fault::tls_handshake,
                   "none of the cipher suites " + settings.ciphers + " can be used");
  if (!settings.curves.empty() && SSL_set1_groups_list(&ssl, settings.curves.c_str()) != 1)
    return refused(Fault::tls_handshake, "curves " + settings.curves);
  return {};
}

// Neither its ticket nor any certificate of the chain that it vouches for may be out of date.
bool usable(SSL_SESSION& session, int64_t now) {
  if (SSL_SESSION_is_resumable(&session) != 1) return false;
  if (now - SSL_SESSION_get_time(&session) >= SSL_SESSION_get_timeout(&session)) return false;
  const int64_t ends = chain_ends(session);
  return ends == 0 || now < ends;
}

// A CRL that has run out refuses every chain; a resumed session shows none, so that there is none.
bool may_resume(const ClientSettings& settings) {
  if (!settings.roots) return true;
  const auto& crls = settings.roots->crls();
  if (crls.empty()) return true;
  const auto now = static_cast<int64_t>(std::time(nullptr));
  return std::none_of(crls.begin(), crls.end(), [now](const certs::CrlInfo& crl) {
    return crl.next_update != 0 && crl.next_update <= now;
  });
}

}  // namespace

void SessionSlot::put(SessionPtr session) {
  if (!session) return;
  if (sessions_.size() == limits::tls_sessions_per_key) sessions_.erase(sessions_.begin());
  sessions_.push_back(std::move(session));
}

SessionPtr SessionSlot::take(int64_t now) {
  while (!sessions_.empty()) {
    SessionPtr session = std::move(sessions_.back());
    sessions_.pop_back();
    if (!usable(*session, now)) continue;
    if (SSL_SESSION_get_protocol_version(session.get()) < TLS1_3_VERSION) {
      SSL_SESSION_up_ref(session.get());  // A TLS 1.2 session may be used again (RFC 5246, F.1.4).
      sessions_.emplace_back(session.get());
    }
    return session;
  }
  return nullptr;
}

ClientContext::ClientContext() : context_(SSL_CTX_new(TLS_client_method())) {
  must(context_ != nullptr, "SSL_CTX_new");
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_security_level(context, security_level);
  must(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1, "TLS 1.2");
  must(SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1, "TLS 1.3");
  must(SSL_CTX_set_cipher_list(context, ciphers) == 1, "ciphers");
  must(SSL_CTX_set1_groups_list(context, groups) == 1, "curves");
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);  // The chain is what the secret holds.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  SSL_CTX_set_cert_cb(context, note_request, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_peer, nullptr);
  SSL_CTX_set_msg_callback(context, count_messages);
  ERR_clear_error();
}

ClientContext::~ClientContext() = default;

Result<SslPtr> ClientContext::open(const ClientSettings& settings, SessionSlot* slot) {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl) return refused(Fault::tls_handshake, "SSL_new");
  Connection& connection = connection_of(*ssl);
  Handshake& handshake = *connection.handshake;
  handshake.names = settings.names;
  if (settings.roots && !settings.roots->crls().empty()) handshake.crls_from = settings.roots_name;
  if (auto set = set_sni(*ssl, settings.sni, handshake); !set) return set.error();
  if (auto set = set_alpn(*ssl, settings.alpn, handshake); !set) return set.error();
  if (auto set = set_parameters(*ssl, settings); !set) return set.error();
  if (auto set = set_verification(*ssl, settings); !set) return set.error();
  if (settings.certificate)
    if (auto set = set_certificate(*ssl, *settings.certificate); !set) return set.error();
  connection.slot = slot;
  if (const SessionPtr session = slot && may_resume(settings) ? slot->take() : nullptr) {
    SSL_set_session(ssl.get(), session.get());
    connection.chain_ends = chain_ends(*session);
  }
  SSL_set_connect_state(ssl.get());
  ERR_clear_error();
  return ssl;
}

}  // namespace sallyport::tls
