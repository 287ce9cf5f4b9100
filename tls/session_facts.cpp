#include "tls/session_facts.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certs/describe.h"
#include "certs/pem.h"
#include "tls/connection.h"

namespace sallyport::tls {
namespace {

std::string digest(const X509& certificate, const EVP_MD* kind) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const bool made = X509_digest(&certificate, kind, bytes, &size) == 1;
  return made ? certs::hexadecimal({bytes, size}) : std::string();
}

std::string session_id_of(const SSL& ssl) {
  const SSL_SESSION* const session = SSL_get_session(&ssl);
  unsigned size = 0;
  const unsigned char* const id = session ? SSL_SESSION_get_id(session, &size) : nullptr;
  return id ? certs::hexadecimal({id, size}) : std::string();
}

}  // namespace

SessionFacts facts_of(const SSL& ssl) {
  SessionFacts facts;
  facts.version = protocol_version(ssl);
  facts.cipher = cipher_name(ssl);
  facts.session_id = session_id_of(ssl);
  if (const X509* const peer = SSL_get0_peer_certificate(&ssl))
    facts.peer = SessionFacts::Peer{.info = certs::describe(*peer),
                                    .sha256 = digest(*peer, EVP_sha256()),
                                    .sha1 = digest(*peer, EVP_sha1()),
                                    .pem = certs::pem_text(*peer)};
  if (const X509* const local = SSL_get_certificate(&ssl)) facts.local = certs::describe(*local);
  ERR_clear_error();  // The next step would blame another connection.
  return facts;
}

std::optional<PeerCertificate> peer_certificate(const SSL& ssl) {
  const X509* const peer = SSL_get0_peer_certificate(&ssl);
  if (!peer) return std::nullopt;
  // A chain that was verified has an end, which a resumed session remembers.
  const bool verified = connection_of(const_cast<SSL&>(ssl)).chain_ends != 0;
  PeerCertificate out{certs::describe(*peer), digest(*peer, EVP_sha256()), verified};
  ERR_clear_error();
  return out;
}

std::string peer_certificate_pem(const SSL& ssl) {
  const X509* const peer = SSL_get0_peer_certificate(&ssl);
  std::string out = peer ? certs::pem_text(*peer) : std::string();
  ERR_clear_error();
  return out;
}

std::string_view client_sni(const SSL& ssl) {
  const char* const name = SSL_get_servername(&ssl, TLSEXT_NAMETYPE_host_name);
  return name ? name : "";
}

std::vector<std::string> own_uris(const SSL& ssl) {
  const X509* const own = SSL_get_certificate(&ssl);
  return own ? certs::describe(*own).uris : std::vector<std::string>();
}

}  // namespace sallyport::tls
