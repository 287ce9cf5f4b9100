// What a cluster's TLS stands on: the certificates and CAs that the configuration gives it.
#pragma once
#include <cstdint>

#include "agent/mesh/explain_gateway.h"
#include "certs/vault.h"

namespace sallyport::cli {

// Adds the steps "certificate" and "CA" behind "TLS". Where one is missing or broken, `refused`
// becomes what log and 503 would say. `now`: seconds since 1970.
void explain_secrets(mesh::ExplainedTarget& target, const mesh::CompileInput& input,
                     const certs::Vault& vault, int64_t now);

// The same of a server that ends its clients' TLS: behind the step "server TLS"; the plan is
// refused where no handshake can succeed.
void explain_termination(mesh::GatewayExplanation& explained, const mesh::CompileInput& input,
                         const certs::Vault& vault, int64_t now);

}  // namespace sallyport::cli
