// Pieces of X.509 that requests and certificates share. For sources of this folder only: it brings
// OpenSSL's headers.
#pragma once
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "certs/ca/secret_text.h"
#include "certs/openssl_ptr.h"

namespace sallyport::ca {

struct ExtensionsFree {
  void operator()(STACK_OF(X509_EXTENSION) * all) const {
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
  }
};
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, certs::OpensslFree<X509_EXTENSION_free>>;
using ExtensionsPtr = std::unique_ptr<STACK_OF(X509_EXTENSION), ExtensionsFree>;

struct AlternativeNames {
  std::vector<std::string> dns = {}, uris = {}, ips = {};
};
// Built as values, never through OpenSSL's configuration syntax: a name with a comma or a line
// break in it stays one name. Null: a name that is none, or no memory.
ExtensionPtr alternative_names(const AlternativeNames& names, bool critical);

// What has been written to a memory BIO.
std::string memory_text(BIO& bio);
// PKCS#8, PEM. The BIO's own copy is wiped.
Result<SecretText> key_text(const EVP_PKEY& key);

}  // namespace sallyport::ca
