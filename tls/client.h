// The client side of TLS: one context a worker; certificate, names and trust are set on each
// connection, since an SSL_CTX is dear (13 KiB, 0.1 ms).
//
// Threading: a ClientContext and its SessionSlots belong to one worker. KeyPair and TrustStore are
// shared, immutable.
#pragma once
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "certs/key_pair.h"
#include "certs/trust.h"
#include "tls/parameters.h"
#include "tls/ssl.h"

namespace sallyport::tls {

// TLS sessions of one pool key, newest first. A changed CA, CRL or certificate means another slot:
// a resumed session skips verification.
class SessionSlot {
public:
  void put(SessionPtr session);  // keeps limits::tls_sessions_per_key
  // Null when there is none; TLS 1.3 tickets are used once. `now`: seconds since 1970.
  SessionPtr take(int64_t now = static_cast<int64_t>(std::time(nullptr)));

private:
  std::vector<SessionPtr> sessions_;
};

struct ClientSettings : Parameters {
  std::string sni;  // empty: none is sent. An IP literal is never sent as SNI.
  std::shared_ptr<const certs::KeyPair> certificate;  // null: none; sent only when the server asks
  std::shared_ptr<const certs::TrustStore> roots;     // null only with skip_verify
  std::string roots_name;  // of the secret or files, for messages about CRLs
  // One must match a SAN (DNS with wildcards, URI, IP, email); empty: the chain alone decides.
  std::vector<std::string> names;
  std::vector<std::string> alpn;  // in order; empty: no ALPN extension
  bool skip_verify = false;       // insecureSkipVerify
};

class ClientContext {
public:
  // TLS 1.2 to 1.3, Envoy's cipher and curve defaults, renegotiation and compression off.
  ClientContext();
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  // An SSL in connect state, ready for attach(). `slot` (may be null) gives and later receives
  // sessions; it outlives the SSL. Errors: Fault::tls_handshake when OpenSSL refuses the
  // certificate or names, Fault::missing_secret without roots.
  Result<SslPtr> open(const ClientSettings& settings, SessionSlot* slot);

private:
  SslCtxPtr context_;
};

}  // namespace sallyport::tls
