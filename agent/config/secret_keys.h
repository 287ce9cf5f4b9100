// Which PEM texts a Secret, a ConfigMap or files give, by Istio's rules and with its messages
// (istio-api.md 2.9).
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::config {

struct Pem {
  std::string first, second;  // certificate and key, or CA and CRL (may be empty)
};

using SecretData = std::map<std::string, std::string, std::less<>>;
Result<Pem> certificate_in(const SecretData& data);  // cert + key, else tls.crt + tls.key
Result<Pem> roots_in(const SecretData& data);        // cacert (+ crl), else ca.crt (+ ca.crl)

// The paths in "file-cert:CRT~KEY" and "file-root:CA[~CRL]".
std::vector<std::string> paths_in(std::string_view vault_name);
// Reads them, again if one was replaced meanwhile: of two files that are swapped together never one
// old and one new. The error names the file.
Result<Pem> read_pem(const std::vector<std::string>& paths);

// Fault::missing_secret with this reason.
Error missing_secret(std::string reason);

}  // namespace sallyport::config
