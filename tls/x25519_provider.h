// X25519 by libsodium, as a provider of OpenSSL: of an ECDSA handshake's instructions 46 % were
// OpenSSL's X25519, whose fixed-base multiplication is portable C. Everything else of TLS, the
// random bytes of the keys included, stays OpenSSL's.
//
// Threading: any.
#pragma once

namespace sallyport::tls {

// The property query with which an SSL_CTX (SSL_CTX_new_ex) takes what the provider has from it,
// and the rest from where it came before. Loads the provider at the first call. An installation
// whose default properties ask for more (fips=yes, provider=fips) goes on with what they name.
//
// Returns nullptr when OpenSSL refuses the provider, which is a defect of the installation.
const char* x25519_properties();

}  // namespace sallyport::tls
