// A workload's key and its request for a certificate. Keys are made here, in memory, and go nowhere
// else but into the identity that is made of them.
#pragma once
#include <cstdint>
#include <string>

#include "agent/core/error.h"
#include "certs/ca/secret_text.h"

namespace sallyport::ca {

enum class KeyKind : uint8_t { ec_p256, ec_p384, rsa_2048, rsa_3072, rsa_4096 };

struct SigningRequest {
  SecretText key_pem;   // PKCS#8
  std::string csr_pem;  // PKCS#10
};

// The SPIFFE id as URI in a subjectAltName that is critical, as istio-agent makes it (and RFC 5280
// asks where the subject is empty). Error (Fault::internal): OpenSSL could not.
Result<SigningRequest> make_signing_request(const std::string& spiffe_id, KeyKind kind);

}  // namespace sallyport::ca
