// OpenSSL by RAII, its error queue as text, and reads, writes and handshakes as single non-blocking
// attempts over our own BIO with read-ahead (architecture: *must*). No event loop here.
//
// Threading: an SSL belongs to one thread at a time.
// Error queue: every function leaves the thread's queue empty and expects it so. Whoever calls
//              OpenSSL beside this module empties it too (take_openssl_errors), or the next step
//              would blame another connection.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "agent/core/error.h"
#include "tls/io_step.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;
using SSL_SESSION = struct ssl_session_st;

namespace sallyport::tls {

struct SslFree {
  void operator()(SSL* ssl) const noexcept;  // sends nothing; its sessions stay good
};
struct SslCtxFree {
  void operator()(SSL_CTX* context) const noexcept;
};
struct SessionFree {
  void operator()(SSL_SESSION* session) const noexcept;
};
using SslPtr = std::unique_ptr<SSL, SslFree>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, SslCtxFree>;
using SessionPtr = std::unique_ptr<SSL_SESSION, SessionFree>;

// Connects `ssl` to the socket it shall read from and write to; `transport` outlives `ssl`. Sets
// the modes that the steps rely on, whatever context the SSL came from.
void attach(SSL& ssl, Transport& transport);

IoStep handshake_step(SSL& ssl);  // bytes 1: done
// bytes 0: the peer has ended, by close_notify or, as Envoy has it, by closing between two records.
IoStep read_step(SSL& ssl, std::span<char> into);
IoStep write_step(SSL& ssl, std::span<const char> from);  // may write less than given
// Sends close_notify; reading may go on. bytes 1: sent.
IoStep shutdown_step(SSL& ssl);

// Bytes that were read from the transport and not yet given out: a step may yield without the
// transport being readable.
bool bytes_at_hand(const SSL& ssl);
// For idle connections: gives back what record buffers OpenSSL still holds (16 KiB after a session
// ticket was sent).
void release_buffers(SSL& ssl);

// Why the last step failed, with a named cause: certificate expired, unknown CA, name mismatch,
// plain HTTP where TLS was expected, no shared protocol, alert from the peer. `side` is where the
// peer is: upstream is a server, downstream a client. Fault::tls_verify for the peer's certificate;
// tls_handshake; reset when an established connection broke. Retryable is what failed within the
// handshake, as Envoy's connect-failure.
Error failure_of(SSL& ssl, Side side);
std::string take_openssl_errors();  // the queue as one line

std::string_view selected_alpn(const SSL& ssl);     // "h2"; empty when none was agreed on
std::string_view protocol_version(const SSL& ssl);  // "TLSv1.3", as Envoy's %UPSTREAM_TLS_VERSION%
std::string_view cipher_name(const SSL& ssl);       // "TLS_AES_128_GCM_SHA256"
bool session_reused(const SSL& ssl);

}  // namespace sallyport::tls
