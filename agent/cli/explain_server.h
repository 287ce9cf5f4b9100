// The other end of what `explain` is asked about, where its pods are among the documents: what the
// server's sidecar makes of the request.
#pragma once
#include "agent/analyze/world.h"
#include "agent/mesh/explain.h"

namespace sallyport::cli {

// Adds "server mTLS" and "server policy" for each different workload behind the target's service,
// or, of what goes to an address as it is, for who has that address; where one refuses the request,
// `refused` says so. Of a Service whose pods nobody knows it says that.
void explain_servers(mesh::ExplainedTarget& target, const analyze::World& world,
                     const mesh::CompileInput& input, const mesh::Question& question);

// The same where the client's sidecar never sees the connection: it arrives as it was sent.
struct DirectAnswer {
  std::vector<mesh::ExplainedStep> steps;
  std::string refused;  // why the server's sidecar does not let it in; empty: it does
};
DirectAnswer explain_direct(const analyze::World& world, const mesh::CompileInput& input,
                            const mesh::Question& question);

}  // namespace sallyport::cli
