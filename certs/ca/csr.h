// A request for a certificate as a CA looks at it. For sources of this folder only: it brings
// OpenSSL's headers.
#pragma once
#include <string>

#include "agent/core/error.h"
#include "certs/openssl_ptr.h"

namespace sallyport::ca {

// The public key of a CSR that may be signed for `spiffe_id`: PKCS#10 in PEM, signed by that key,
// which is P-256 or stronger, RSA of 2048 bits or more, or Ed25519; its alternative names, if any,
// are `spiffe_id` alone. Errors: Fault::protocol with the reason.
Result<certs::KeyPtr> requested_key(const std::string& csr_pem, const std::string& spiffe_id);

}  // namespace sallyport::ca
