// What an established connection can say of itself, for logs: versions, and the certificates of
// both sides.
//
// Threading: the SSL's. Costs some microseconds and allocations: asked for only when a log shows
// it.
#pragma once
#include <optional>
#include <string>

#include "certs/key_pair.h"
#include "tls/ssl.h"

namespace sallyport::tls {

struct SessionFacts {
  struct Peer {
    certs::CertificateInfo info;
    std::string sha256, sha1;  // of the DER, lower-case hex
    std::string pem;
  };
  std::string version, cipher;                  // "TLSv1.3", "TLS_AES_128_GCM_SHA256"
  std::string session_id;                       // lower-case hex; empty: there is none
  std::optional<Peer> peer;                     // nothing: it showed no certificate
  std::optional<certs::CertificateInfo> local;  // nothing: we have none
};

// REQUIRES: the handshake is done.
SessionFacts facts_of(const SSL& ssl);

// Who the peer is, as its certificate says: what a server asks of every client.
struct PeerCertificate {
  certs::CertificateInfo info;
  std::string sha256;  // of the DER, lower-case hex
};
// Empty: it showed none. REQUIRES: the handshake is done.
std::optional<PeerCertificate> peer_certificate(const SSL& ssl);
std::vector<std::string> own_uris(const SSL& ssl);  // URI SANs of our certificate

}  // namespace sallyport::tls
