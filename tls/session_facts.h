// What an established connection can say of itself, for logs: versions, and the certificates of
// both sides.
//
// Threading: the SSL's. Costs some microseconds and allocations: asked for only when a log shows
// it.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
  // Its chain and names passed, in this handshake or in that of the session that is resumed. False
  // where anybody's certificate is let in (accept_untrusted, skip_verify) and this is such a one:
  // who it says that it is, is then no more than a claim.
  bool verified = false;
};
// Empty: it showed none. REQUIRES: the handshake is done.
std::optional<PeerCertificate> peer_certificate(const SSL& ssl);
// The same certificate as PEM (some 5 us); empty: it showed none.
std::string peer_certificate_pem(const SSL& ssl);
// What a server's client asked for, as it wrote it; lives as long as the SSL. Empty: nothing, or
// the session is a resumed one of TLS 1.2, of which OpenSSL forgets it (whoever sniffed the
// ClientHello knows).
std::string_view client_sni(const SSL& ssl);
std::vector<std::string> own_uris(const SSL& ssl);  // URI SANs of our certificate

}  // namespace sallyport::tls
