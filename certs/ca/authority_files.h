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

// Whether `directory` has a CA's certificate, which is put there after its key.
bool has_authority(const std::string& directory);
// Errors name the file.
Result<AuthorityFiles> read_authority(const std::string& directory);

// A new self-signed CA is put into a directory in steps, each file whole or not at all and none
// over one that is there: its key (mode 0600; the directory is made if need be), its certificate,
// root-cert.pem. What a start left that was cut off in between, the next one completes.
// The key that is there without a certificate; empty: none.
Result<SecretText> read_left_key(const std::string& directory);
Result<void> write_key(const std::string& directory, const SecretText& key_pem);
Result<void> write_certificate(const std::string& directory, const std::string& root_pem);
// Where it is missing; `read_authority` goes without it, so that a read-only directory is no error.
void complete_roots(const std::string& directory, const std::string& root_pem);

// Puts `roots_pem` where `path` is, whole at any moment. Error: the file, and why not.
Result<void> write_roots(const std::string& path, const std::string& roots_pem);

}  // namespace sallyport::ca
