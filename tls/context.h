// What contexts of both ends share. For sources of tls/ only.
#pragma once
#include <string>

#include "certs/key_pair.h"
#include "tls/parameters.h"
#include "tls/ssl.h"

namespace sallyport::tls {

// RSA from 2048 bits, no SHA-1 signatures: Debian's, and independent of openssl.cnf.
inline constexpr int security_level = 2;

// Envoy's defaults for TLS 1.2, of clients and of servers (TLS 1.3's suites are not configurable
// there either).
inline constexpr const char* envoy_ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

// TLS 1.2 to 1.3, renegotiation and compression off, security_level whatever openssl.cnf says,
// chains verified by verify_peer, messages without data counted. Ends the process when OpenSSL
// can't: at start, and a defect of the installation.
SslCtxPtr make_context(bool server, const char* ciphers);

// An error of ours before the first byte, with what OpenSSL's queue says; which is empty then.
Error refused(Fault fault, Side side, std::string why);

// `who`: "client certificate", for the message.
Result<void> set_certificate(SSL& ssl, const certs::KeyPair& pair, Side side, const char* who);
Result<void> set_certificate(SSL_CTX& context, const certs::KeyPair& pair, Side side,
                             const char* who);

// As TLS and OpenSSL number them: 0x0301 to 0x0304.
constexpr int number_of(Version version) { return 0x0301 + static_cast<int>(version); }

// Parsed anew for each connection, which only those pay who set them. Versions below TLS 1.2 put
// the SSL on security level 0, where anonymous and null suites have to be left out by name.
Result<void> set_parameters(SSL& ssl, const Parameters& parameters, Side side);

}  // namespace sallyport::tls
