// Where the workload's certificate comes from: from flags, else from what Istio gives an agent in
// its environment. Pure but for asking whether files exist.
#pragma once
#include <functional>
#include <string>

#include "agent/cli/identity.h"
#include "agent/core/error.h"
#include "certs/ca/identity_settings.h"

namespace sallyport::cli {

struct WorkloadIdentityFlags {    // empty: take it from the environment
  std::string chain, key, roots;  // --identity-cert, --identity-key, --identity-root
  std::string workload_socket, ca_address, ca_root, ca_token, trust_domain, more_roots;
};

// What the vault says of an identity that nobody was told where to take from.
inline constexpr const char* no_identity_source =
    "no source of identities is configured (CA_ADDR, FILE_MOUNTED_CERTS, SPIFFE_ENDPOINT_SOCKET or "
    "a volume workload-spiffe-credentials)";

// In this order: the files of the flags, the socket's and the CA's flag; then FILE_MOUNTED_CERTS,
// SPIFFE_ENDPOINT_SOCKET, a mounted workload-spiffe-credentials volume, CA_ADDR (with CA_ROOT_CA,
// PROV_CERT, SECRET_TTL and their like). None of them: no identity. Errors (Fault::internal): two
// sources in flags, a part of the files missing, a variable that cannot be read.
Result<ca::IdentitySettings> find_workload_identity(
    const WorkloadIdentityFlags& flags, const Environment& environment,
    const std::function<bool(const std::string& path)>& exists);

}  // namespace sallyport::cli
