// The workload's own certificate and the mesh's roots, as far as `explain` can have them: mounted
// files have all of it; of a certificate that a CA gave, the key is in the running proxy's memory
// alone, and only what everybody may see is had.
#pragma once
#include <cstdint>
#include <string>

#include "agent/cli/running_proxy.h"
#include "agent/mesh/explain.h"
#include "certs/ca/identity_settings.h"
#include "certs/vault.h"

namespace sallyport::cli {

struct OwnIdentity {
  bool known = false;             // false: neither files nor a running proxy say anything
  certs::CertificateInfo leaf;    // of the certificate in force; without a subject: none
  certs::VaultEntry pair, roots;  // pair.pair is null where the key is not to be had
  std::string from;               // "the running proxy (127.0.0.1:15000)", "/etc/certs/key.pem"
  std::string problem;            // why Istio's mutual TLS can't be spoken; empty: it can
};

// Files that `settings` names are read; what the running proxy (may be null) has in force counts
// first, since that is what requests go by. `now`: seconds since 1970.
OwnIdentity own_identity(const ca::IdentitySettings& settings, const RunningProxy* running,
                         int64_t now);

// Whether a connection of the cluster shows the workload's certificate, or asks for the mesh's
// roots.
bool needs_identity(const mesh::Cluster& cluster);

// Adds the step "identity" to a target that needs it, and refuses what the running proxy can't do.
void explain_identity(mesh::ExplainedTarget& target, const OwnIdentity& own);

// `vault` with the identity in it.
certs::Vault with_identity(certs::Vault vault, const OwnIdentity& own);

}  // namespace sallyport::cli
