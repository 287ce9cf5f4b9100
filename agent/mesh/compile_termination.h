// What the `tls` of a Gateway's server means: which secrets, who is asked for a certificate
// (istio-api.md 1.5, 2.9; istio/istio:pilot/pkg/networking/core/listener.go). Pure.
#pragma once
#include "agent/mesh/gateway.h"
#include "agent/mesh/gateway_servers.h"

namespace sallyport::mesh {

// REQUIRES: the server ends TLS. An error closes it: what it names can't be given, and nothing less
// is served in its place.
Result<TlsTermination> compile_termination(const BoundServer& server, const CompileInput& input);

// The certs::Vault names that it refers to: without the workload's own, which are there unasked.
std::vector<std::string> secret_names(const TlsTermination& tls);

}  // namespace sallyport::mesh
