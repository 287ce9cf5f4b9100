// The server side of TLS: one context a worker; certificate, trust and ALPN are set on each
// connection.
//
// Threading: a ServerContext belongs to one worker. Settings, KeyPair and TrustStore are shared,
// immutable. Tickets of one worker are good on all of the process.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "certs/key_pair.h"
#include "certs/trust.h"
#include "tls/parameters.h"
#include "tls/ssl.h"

namespace sallyport::tls {

struct ServerSettings : Parameters {
  std::shared_ptr<const certs::KeyPair> certificate;  // REQUIRES: not null
  // Clients must show a certificate that these vouch for; null: none is asked for.
  std::shared_ptr<const certs::TrustStore> roots;
  std::string roots_name;  // of the secret or files, for messages about CRLs
  // Where set, the client's certificate must have exactly one URI SAN, a SPIFFE id of one of these
  // (SPIFFE X.509-SVID section 2; istiod's MatchSubjectAltNames).
  std::vector<std::string> trust_domains;
  // What is answered to a client's ALPN offer: the first of these that it has; none: no ALPN.
  std::vector<std::string> alpn;
};
using ServerSettingsPtr = std::shared_ptr<const ServerSettings>;

class ServerContext {
public:
  // TLS 1.2 to 1.3, Istio's cipher suites for mutual TLS, the server's preference, tickets; no
  // renegotiation, no compression, no early data.
  ServerContext();
  ~ServerContext();
  ServerContext(const ServerContext&) = delete;
  // An SSL in accept state, ready for attach(). `hello`: what was read of the client before, which
  // TLS reads first. A client may resume only what was made under the same roots and trust domains,
  // and not beyond the end of a certificate of its chain. Errors (Side::downstream): tls_handshake
  // when OpenSSL refuses the certificate.
  Result<SslPtr> open(ServerSettingsPtr settings, std::string_view hello);

private:
  SslCtxPtr context_;
};

}  // namespace sallyport::tls
