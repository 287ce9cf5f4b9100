// Certificates that a configuration pins by their SHA-256 (Gateway: verifyCertificateSpki,
// verifyCertificateHash).
//
// Threading: pure; any thread. OpenSSL's error queue is left empty.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "agent/core/error.h"

using X509 = struct x509_st;

namespace sallyport::tls {

using Sha256 = std::array<unsigned char, 32>;

// Of a certificate's SubjectPublicKeyInfo, in base64: 44 characters, as Envoy takes them. Errors:
// Fault::tls_verify, Side::local, with the text.
Result<Sha256> parse_spki_pin(std::string_view base64);
// Of the whole certificate (DER), in hexadecimal: 64 digits, or with a colon between every two as
// `openssl x509 -fingerprint` prints them. Errors as above.
Result<Sha256> parse_certificate_pin(std::string_view hexadecimal);

// Nothing: no memory.
std::optional<Sha256> spki_sha256(const X509& certificate);
std::optional<Sha256> certificate_sha256(const X509& certificate);

// As a configuration would spell it.
std::string spki_pin_text(const Sha256& pin);

}  // namespace sallyport::tls
