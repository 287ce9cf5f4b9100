#include "tls/server.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "agent/core/limits.h"
#include "agent/core/xxhash.h"
#include "tls/connection.h"
#include "tls/context.h"

namespace sallyport::tls {
namespace {

// Istio's for mutual TLS (istio-api.md 2.13).
constexpr const char* server_ciphers =
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
  connection_of(*ssl).chain_ends = ends;
  return SSL_TICKET_RETURN_USE_RENEW;
}

// Our order decides; nothing in common: on without ALPN, as Istio's Envoy does (hardening.md).
int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                const unsigned char* offered, unsigned offered_size, void*) {
  const auto& handshake = connection_of(*ssl).handshake;
  if (!handshake || !handshake->server) return SSL_TLSEXT_ERR_NOACK;
  for (const std::string& ours : handshake->server->alpn) {
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

// What a resumed session was verified with: another, and it is none (RFC 5246 F.1.4).
Result<void> set_session_context(SSL& ssl, const ServerSettings& settings) {
  std::array<uint64_t, 2> id{settings.roots ? settings.roots->id() : 0, 0};
  for (const std::string& domain : settings.trust_domains) id[1] = xxhash64(domain, id[1]);
  const bool set =
      SSL_set_session_id_context(&ssl, reinterpret_cast<unsigned char*>(id.data()), sizeof id) == 1;
  if (set) return {};
  return refused(Fault::tls_handshake, Side::downstream, "session context");
}

Result<void> set_client_verification(SSL& ssl, const ServerSettings& settings) {
  if (!settings.roots) return {};
  SSL_set_verify(&ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_set_verify_depth(&ssl, limits::client_chain_depth);
  SSL_set_max_cert_list(&ssl, limits::client_chain_bytes);
  if (SSL_set1_verify_cert_store(&ssl, settings.roots->store()) == 1) return {};
  return refused(Fault::tls_handshake, Side::downstream, "CA");
}

}  // namespace

ServerContext::ServerContext() : context_(make_context(true, server_ciphers)) {
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets only: nothing is kept
  auto& keys = ticket_keys().bytes;
  SSL_CTX_set_tlsext_ticket_keys(context, keys.data(), static_cast<int>(keys.size()));
  SSL_CTX_set_num_tickets(context, 0);  // one, before the first answer: write_step
  SSL_CTX_set_session_ticket_cb(context, fill_ticket, open_ticket, nullptr);
  SSL_CTX_set_alpn_select_cb(context, select_alpn, nullptr);
  ERR_clear_error();
}

ServerContext::~ServerContext() = default;

Result<SslPtr> ServerContext::open(ServerSettingsPtr settings, std::string_view hello) {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl) return refused(Fault::tls_handshake, Side::downstream, "SSL_new");
  Connection& connection = connection_of(*ssl);
  Handshake& handshake = *connection.handshake;
  handshake.read_before = hello;
  if (settings->roots && !settings->roots->crls().empty())
    handshake.crls_from = settings->roots_name;
  if (auto set = set_session_context(*ssl, *settings); !set) return set.error();
  if (auto set = set_client_verification(*ssl, *settings); !set) return set.error();
  if (auto set = set_parameters(*ssl, *settings, Side::downstream); !set) return set.error();
  if (auto set = set_certificate(*ssl, *settings->certificate, Side::downstream, "certificate");
      !set)
    return set.error();
  handshake.server = std::move(settings);
  connection.ticket_due = true;
  SSL_set_accept_state(ssl.get());
  ERR_clear_error();
  return ssl;
}

}  // namespace sallyport::tls
