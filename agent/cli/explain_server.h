// The other end of what `explain` is asked about, where its pods are among the documents: what the
// server's sidecar makes of the request.
#pragma once
#include "agent/analyze/world.h"
#include "agent/mesh/explain.h"

namespace sallyport::cli {

// Adds "server mTLS" and "server policy" for each different workload behind the target's service;
// where one refuses the request, `refused` says so.
void explain_servers(mesh::ExplainedTarget& target, const analyze::World& world,
                     const mesh::CompileInput& input, const mesh::Question& question);

}  // namespace sallyport::cli
