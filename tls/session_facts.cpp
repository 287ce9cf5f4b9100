#include "tls/session_facts.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <span>

#include "certs/describe.h"
#include "certs/pem.h"

namespace sallyport::tls {
namespace {

std::string hex(std::span<const unsigned char> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 0xf];
  }
  return text;
}

std::string digest(const X509& certificate, const EVP_MD* kind) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  return X509_digest(&certificate, kind, bytes, &size) == 1 ? hex({bytes, size}) : std::string();
}

std::string session_id_of(const SSL& ssl) {
  const SSL_SESSION* const session = SSL_get_session(&ssl);
  unsigned size = 0;
  const unsigned char* const id = session ? SSL_SESSION_get_id(session, &size) : nullptr;
  return id ? hex({id, size}) : std::string();
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
  PeerCertificate out{certs::describe(*peer), digest(*peer, EVP_sha256())};
  ERR_clear_error();
  return out;
}

std::vector<std::string> own_uris(const SSL& ssl) {
  const X509* const own = SSL_get_certificate(&ssl);
  return own ? certs::describe(*own).uris : std::vector<std::string>();
}

}  // namespace sallyport::tls
