// /debug/egressz: what was learned of the application's destinations beyond the registry, judged by
// the configuration of now. Pure.
#pragma once
#include <string>

#include "agent/mesh/snapshot.h"
#include "agent/observe/egress.h"

namespace sallyport::admin {

// Says of each destination whether a resource names it meanwhile, and of the mesh whether it
// refuses the others.
void judge(const mesh::Snapshot& snapshot, observe::EgressReport& report);

std::string egress_json(const observe::EgressReport& report);

}  // namespace sallyport::admin
