// One certificate, field by field. For sources of this folder only: it brings OpenSSL's headers.
#pragma once
#include <cstdint>
#include <string>

#include "certs/ca/extensions.h"

namespace sallyport::ca {

struct CertificateFields {
  EVP_PKEY* public_key = nullptr;         // of the subject
  const X509* issuer = nullptr;           // null: itself
  EVP_PKEY* signing_key = nullptr;        // the issuer's
  int64_t not_before = 0, not_after = 0;  // seconds since 1970
  std::string organization = {};          // empty: an empty subject
  AlternativeNames names = {};
  bool is_ca = false;
};

// A serial number of 127 random bits; key usages as Istio's: a CA signs certificates (and CRLs), a
// leaf serves as server and client. Error (Fault::internal): OpenSSL's reason.
Result<certs::X509Ptr> make_certificate(const CertificateFields& fields);

}  // namespace sallyport::ca
