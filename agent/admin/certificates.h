// Certificates as Envoy's /certs and its secrets dump show them. Pure. Never a key.
#pragma once
#include <cstdint>
#include <string>

#include "certs/vault.h"

namespace sallyport::admin {

// `now`: seconds since 1970, for days_until_expiration.
std::string certificates_json(const certs::Vault& vault, int64_t now);
// PEM of leaf and intermediates.
std::string chain_pem(const certs::KeyPair& pair);
// PEM of the CA certificates, without CRLs.
std::string roots_pem(const certs::TrustStore& roots);
std::string base64(std::string_view bytes);
std::string utc_text(int64_t seconds);  // "2026-11-21T07:34:00Z"

}  // namespace sallyport::admin
