// The connection that a plan asks for, made from this process: what the server shows.
#pragma once
#include <optional>
#include <string>

#include "agent/cli/explain_identity.h"
#include "agent/cli/explain_output.h"
#include "agent/mesh/explain.h"
#include "certs/vault.h"

namespace sallyport::cli {

// What the system's DNS says first of a name; nothing: it has no address.
std::optional<IpAddress> resolved(const std::string& host);

// Resolves, connects and shakes hands as `target` says, waits a second for an objection of the
// server (TLS 1.3), and closes again; sends no request. Blocks, at most for the cluster's connect
// timeout a step. `host`: what the application asked for, where
// the cluster has the dialled address (with the pod's DNS, so this belongs in the pod). Where the
// key of `own` is not to be had, the server's certificate is verified and ours is not shown.
LiveResult try_live(const mesh::ExplainedTarget& target, const certs::Vault& vault,
                    const OwnIdentity& own, const std::string& host,
                    const SocketAddress& destination);

}  // namespace sallyport::cli
