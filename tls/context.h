// What contexts of both ends share. For sources of tls/ only.
#pragma once
#include <string>

#include "certs/key_pair.h"
#include "tls/parameters.h"
#include "tls/ssl.h"

namespace sallyport::tls {

// TLS 1.2 to 1.3, renegotiation and compression off, security level 2 whatever openssl.cnf says,
// chains verified by verify_peer, messages without data counted. Ends the process when OpenSSL
// can't: at start, and a defect of the installation.
SslCtxPtr make_context(bool server, const char* ciphers);

// An error of ours before the first byte, with what OpenSSL's queue says; which is empty then.
Error refused(Fault fault, Side side, std::string why);

// `who`: "client certificate", for the message.
Result<void> set_certificate(SSL& ssl, const certs::KeyPair& pair, Side side, const char* who);

// Parsed anew for each connection, which only those pay who set them.
Result<void> set_parameters(SSL& ssl, const Parameters& parameters, Side side);

}  // namespace sallyport::tls
