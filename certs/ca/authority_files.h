// A CA's files in Istio's plug-in form.
#pragma once
#include <string>

#include "agent/core/error.h"
#include "certs/ca/secret_text.h"

namespace sallyport::ca {

struct AuthorityFiles {
  std::string chain_pem;  // ca-cert.pem, then what cert-chain.pem has beside it
  SecretText key_pem;
  std::string roots_pem;  // root-cert.pem; without one ca-cert.pem, which is a root then
};

// Whether `directory` has a CA's certificate or key.
bool has_authority(const std::string& directory);
// Errors name the file.
Result<AuthorityFiles> read_authority(const std::string& directory);
// A new self-signed one: the directory is made if need be, the key (mode 0600) never replaces one.
Result<void> write_authority(const std::string& directory, const std::string& root_pem,
                             const SecretText& key_pem);

// Puts `roots_pem` where `path` is, whole at any moment. Error: the file, and why not.
Result<void> write_roots(const std::string& path, const std::string& roots_pem);

}  // namespace sallyport::ca
