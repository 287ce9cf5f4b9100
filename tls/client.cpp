#include "tls/client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <ctime>

#include "agent/core/address.h"
#include "agent/core/limits.h"
#include "certs/describe.h"
#include "tls/connection.h"
#include "tls/context.h"
#include "tls/verify.h"

namespace sallyport::tls {
namespace {

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

Error upstream_refused(Fault fault, std::string why) {
  return tls::refused(fault, Side::upstream, std::move(why));
}

Result<void> set_sni(SSL& ssl, std::string_view name, Handshake& handshake) {
  if (name.ends_with('.')) name.remove_suffix(1);  // RFC 6066: without it
  if (name.empty() || IpAddress::parse(name)) return {};
  const std::string host(name);
  if (SSL_set_tlsext_host_name(&ssl, host.c_str()) != 1)
    return upstream_refused(Fault::tls_handshake, "SNI \"" + certs::printable(host, 253) + "\"");
  handshake.offered = "SNI " + certs::printable(host, 253);
  return {};
}

Result<void> set_alpn(SSL& ssl, const std::vector<std::string>& protocols, Handshake& handshake) {
  if (protocols.empty()) return {};
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255)
      return upstream_refused(
          Fault::tls_handshake,
          "ALPN name of " + std::to_string(protocol.size()) + " bytes (1 to 255 are allowed)");
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  if (SSL_set_alpn_protos(&ssl, reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned>(wire.size())) != 0)
    return upstream_refused(Fault::tls_handshake, "ALPN " + list_text(protocols));
  handshake.offered += (handshake.offered.empty() ? "ALPN " : ", ALPN ") + list_text(protocols);
  return {};
}

Result<void> set_verification(SSL& ssl, const ClientSettings& settings) {
  if (settings.skip_verify) {
    SSL_set_verify(&ssl, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  if (!settings.roots)
    return upstream_refused(Fault::missing_secret, "no CA to verify the server with");
  SSL_set_verify(&ssl, SSL_VERIFY_PEER, nullptr);
  if (SSL_set1_verify_cert_store(&ssl, settings.roots->store()) != 1)
    return upstream_refused(Fault::tls_handshake, "CA");
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

ClientContext::ClientContext() : context_(make_context(false, envoy_ciphers)) {
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  SSL_CTX_set_cert_cb(context, note_request, nullptr);
}

ClientContext::~ClientContext() = default;

Result<SslPtr> ClientContext::open(const ClientSettings& settings, SessionSlot* slot) {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl) return upstream_refused(Fault::tls_handshake, "SSL_new");
  Connection& connection = connection_of(*ssl);
  Handshake& handshake = *connection.handshake;
  handshake.names = settings.names;
  if (settings.roots && !settings.roots->crls().empty()) handshake.crls_from = settings.roots_name;
  if (auto set = set_sni(*ssl, settings.sni, handshake); !set) return set.error();
  if (auto set = set_alpn(*ssl, settings.alpn, handshake); !set) return set.error();
  if (auto set = set_parameters(*ssl, settings, Side::upstream); !set) return set.error();
  if (auto set = set_verification(*ssl, settings); !set) return set.error();
  if (settings.certificate)
    if (auto set =
            set_certificate(*ssl, *settings.certificate, Side::upstream, "client certificate");
        !set)
      return set.error();
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
