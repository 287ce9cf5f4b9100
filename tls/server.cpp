#include "tls/server.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "agent/core/limits.h"
#include "tls/connection.h"
#include "tls/context.h"

namespace sallyport::tls {
namespace {

// Istio's for mutual TLS (istio-api.md 2.13).
constexpr const char* mesh_ciphers =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "AES256-GCM-SHA384:AES128-GCM-SHA256";

// RFC 5077 section 4's key name, AES and HMAC keys, in OpenSSL's form: of the whole process, so
// that a client resumes whichever worker it meets.
struct TicketKeys {
  std::array<unsigned char, 80> bytes;
  TicketKeys() {
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1) return;
    std::fprintf(stderr, "sallyport: random numbers: %s\n", take_openssl_errors().c_str());
    std::abort();
  }
};
TicketKeys& ticket_keys() {
  static TicketKeys keys;
  return keys;
}

// A ticket carries when the first certificate of the client's chain ends: who resumes shows none.
int fill_ticket(SSL* ssl, void*) {
  const int64_t ends = connection_of(*ssl).chain_ends;
  return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &ends, sizeof ends);
}

// OpenSSL compares session contexts after this, and that alone would keep a session without a
// certificate from a server that requires one. Looked at twice, as all else rests on it.
bool may_resume_as_peer(SSL& ssl, SSL_SESSION& session) {
  const auto& handshake = connection_of(ssl).handshake;
  if (!handshake || !handshake->server) return false;
  const ClientCertificate asked = handshake->server->settings().client_certificate;
  return asked != ClientCertificate::required || SSL_SESSION_get0_peer(&session) != nullptr;
}

SSL_TICKET_RETURN open_ticket(SSL* ssl, SSL_SESSION* session, const unsigned char*, std::size_t,
                              SSL_TICKET_STATUS status, void*) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  void* data = nullptr;
  std::size_t size = 0;
  int64_t ends = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != sizeof ends)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  std::memcpy(&ends, data, sizeof ends);
  if (ends != 0 && ends <= static_cast<int64_t>(std::time(nullptr)))
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  if (!may_resume_as_peer(*ssl, *session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  connection_of(*ssl).chain_ends = ends;
  return SSL_TICKET_RETURN_USE_RENEW;
}

// Our order decides; nothing in common: on without ALPN, as Istio's Envoy does (hardening.md).
int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                const unsigned char* offered, unsigned offered_size, void*) {
  const auto& handshake = connection_of(*ssl).handshake;
  if (!handshake || !handshake->server) return SSL_TLSEXT_ERR_NOACK;
  for (const std::string& ours : handshake->server->settings().alpn) {
    for (unsigned at = 0; at < offered_size; at += offered[at] + 1u) {
      const std::string_view theirs(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
      if (theirs != ours) continue;
      *out = offered + at + 1;
      *out_size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_NOACK;
}

// Runs where no session is resumed, once the ClientHello is read.
int begin_full_handshake(SSL* ssl, void*) {
  Connection& connection = connection_of(*ssl);
  if (!connection.handshake || !connection.handshake->server) return 0;
  const PreparedServer& server = *connection.handshake->server;
  connection.chain_ends = 0;  // what a ticket said that was refused later
  if (server.root_names()) SSL_set_client_CA_list(ssl, SSL_dup_CA_list(server.root_names()));
  if (server.settings().certificates.size() < 2) return 1;
  const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const certs::KeyPair* const only = name ? server.certificate_of(name) : nullptr;
  if (!only) return 1;
  SSL_certs_clear(ssl);
  return set_certificate(*ssl, *only, Side::downstream, "certificate") ? 1 : 0;
}

// What a resumed session was verified with: another, and it is none (RFC 5246 F.1.4).
Result<void> set_session_context(SSL& ssl, const PreparedServer& server) {
  const auto id = server.session_context();
  if (SSL_set_session_id_context(&ssl, id.data(), static_cast<unsigned>(id.size())) == 1) return {};
  return refused(Fault::tls_handshake, Side::downstream, "session context");
}

Result<void> set_client_verification(SSL& ssl, const ServerSettings& settings) {
  if (settings.client_certificate == ClientCertificate::none) return {};
  const bool required = settings.client_certificate == ClientCertificate::required;
  SSL_set_verify(&ssl, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  SSL_set_verify_depth(&ssl, limits::client_chain_depth);
  SSL_set_max_cert_list(&ssl, limits::client_chain_bytes);
  if (!settings.roots || SSL_set1_verify_cert_store(&ssl, settings.roots->store()) == 1) return {};
  return refused(Fault::tls_handshake, Side::downstream, "CA");
}

// On an SSL, or on the context of many. Of two of one kind the first: it holds one of each.
template <class Holder>
Result<void> set_certificates(Holder& holder, const PreparedServer& server) {
  const auto& pairs = server.settings().certificates;
  auto set = set_certificate(holder, *pairs[0], Side::downstream, "certificate");
  if (!set || !server.kinds_differ()) return set;
  return set_certificate(holder, *pairs[1], Side::downstream, "second certificate");
}

}  // namespace

ServerContext::ServerContext(ServerKind kind)
    : context_(make_context(true, kind == ServerKind::mesh ? mesh_ciphers : envoy_ciphers)) {
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (kind == ServerKind::gateway) SSL_CTX_set_options(context, SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets only: nothing is kept
  auto& keys = ticket_keys().bytes;
  SSL_CTX_set_tlsext_ticket_keys(context, keys.data(), static_cast<int>(keys.size()));
  SSL_CTX_set_num_tickets(context, 0);  // one, before the first answer: write_step
  SSL_CTX_set_session_ticket_cb(context, fill_ticket, open_ticket, nullptr);
  SSL_CTX_set_alpn_select_cb(context, select_alpn, nullptr);
  SSL_CTX_set_cert_cb(context, begin_full_handshake, nullptr);
  ERR_clear_error();
}

ServerContext::~ServerContext() = default;

Result<std::unique_ptr<ServerContext>> ServerContext::showing(ServerKind kind,
                                                              PreparedServerPtr shown) {
  auto made = std::make_unique<ServerContext>(kind);
  if (auto set = set_certificates(*made->context_, *shown); !set) return set.error();
  made->shown_ = std::move(shown);
  return made;
}

Result<SslPtr> ServerContext::open(PreparedServerPtr server, std::string_view hello) {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl) return refused(Fault::tls_handshake, Side::downstream, "SSL_new");
  Connection& connection = connection_of(*ssl);
  Handshake& handshake = *connection.handshake;
  handshake.read_before = hello;
  const ServerSettings& settings = server->settings();
  if (settings.roots && !settings.roots->crls().empty()) handshake.crls_from = settings.roots_name;
  if (auto set = set_session_context(*ssl, *server); !set) return set.error();
  if (auto set = set_client_verification(*ssl, settings); !set) return set.error();
  // Before parameters may lower the security level: our own certificates are held to the context's.
  if (!shown_) {
    if (auto set = set_certificates(*ssl, *server); !set) return set.error();
  }
  if (auto set = set_parameters(*ssl, settings, Side::downstream); !set) return set.error();
  handshake.server = std::move(server);
  connection.ticket_due = true;
  SSL_set_accept_state(ssl.get());
  ERR_clear_error();
  return ssl;
}

}  // namespace sallyport::tls
