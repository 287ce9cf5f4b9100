// The server side of TLS: one context a worker and kind of server, and few more that show a
// server's certificates (agent/proxy/gateway_tls.h); trust, ALPN and other certificates are set on
// each connection. OCSP responses are not stapled.
//
// Threading: a ServerContext belongs to one worker. Tickets of one worker are good on all of the
// process.
#pragma once
#include <memory>
#include <string_view>

#include "tls/server_settings.h"
#include "tls/ssl.h"

namespace sallyport::tls {

// Whose cipher suites for TLS 1.2 are offered where the settings name none: Istio's for the mesh's
// mutual TLS, or Envoy's for servers.
enum class ServerKind : uint8_t { mesh, gateway };

class ServerContext {
public:
  // TLS 1.2 to 1.3, X25519 and P-256, the server's preference (a gateway's client that prefers
  // ChaCha20 gets it, as from Envoy), tickets; no renegotiation, no compression, no early data.
  explicit ServerContext(ServerKind kind);
  // The same for connections of `shown` alone, with its certificates in the context: OpenSSL checks
  // once that key and certificate belong together, and not for each connection. Costs 20 KiB and
  // some 100 us.
  // Errors: as of open().
  static Result<std::unique_ptr<ServerContext>> showing(ServerKind kind, PreparedServerPtr shown);
  ~ServerContext();
  ServerContext(const ServerContext&) = delete;
  // An SSL in accept state, ready for attach(). `server`: not null; where one is shown, that one.
  // `hello`: what was read of the client before, which TLS reads first. A client may resume only
  // what was made with a server of the same session_context(), and not beyond the end of a
  // certificate of its chain or of a CRL. Errors (Side::downstream): tls_handshake when OpenSSL
  // refuses a certificate or parameter.
  Result<SslPtr> open(PreparedServerPtr server, std::string_view hello);

private:
  SslCtxPtr context_;
  PreparedServerPtr shown_;  // whose certificates are in it; null: nobody's
};

}  // namespace sallyport::tls
