// Whether what a source gave is an identity to be taken: a pure function of its texts and the time.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "agent/core/error.h"
#include "certs/ca/identity_source.h"
#include "certs/key_pair.h"
#include "certs/trust.h"

namespace sallyport::ca {

// Errors (Fault::missing_secret, or tls_verify for what is read but not taken) name the reason: the
// certificate is of another key, of another SPIFFE id, has expired or is not valid yet, or its own
// roots do not verify it. `now`: seconds since 1970.
Result<std::shared_ptr<const certs::KeyPair>> check_identity(const IdentityMaterial& material,
                                                             const certs::TrustStore& roots,
                                                             int64_t now);

// The certificates of `texts` in PEM, each once and in this order. Errors: as certs::read_pem.
Result<std::string> join_certificates(const std::vector<std::string>& texts);

}  // namespace sallyport::ca
