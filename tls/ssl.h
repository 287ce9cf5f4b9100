// OpenSSL by RAII, its error queue as text, and reads, writes and handshakes as single non-blocking attempts over our own
// BIO with read-ahead (architecture: *must*). No event loop here.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "agent/core/error.h"
#include "tls/io_step.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;
using SSL_SESSION = struct ssl_session_st;

namespace sallyport::tls {

struct SslFree { void operator()(SSL* ssl) const noexcept; };
struct SslCtxFree { void operator()(SSL_CTX* context) const noexcept; };
struct SessionFree { void operator()(SSL_SESSION* session) const noexcept; };
using SslPtr = std::unique_ptr<SSL, SslFree>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, SslCtxFree>;
using SessionPtr = std::unique_ptr<SSL_SESSION, SessionFree>;

// Connects `ssl` to the socket it shall read from and write to; `transport` outlives `ssl`.
void attach(SSL& ssl, Transport& transport);

IoStep handshake_step(SSL& ssl);                              // bytes 1: done
IoStep read_step(SSL& ssl, std::span<char> into);
IoStep write_step(SSL& ssl, std::span<const char> from);      // may write less than given

// Why the last step failed, with a named cause: certificate expired, unknown CA, name mismatch, plain HTTP where TLS was
// expected, TLS inside TLS, no shared protocol, alert from the peer. Empties the thread's error queue.
Error failure_of(SSL& ssl, Side side);
std::string take_openssl_errors();                            // the queue as one line

}  // namespace sallyport::tls
