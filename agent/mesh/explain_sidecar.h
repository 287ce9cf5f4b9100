// What a Sidecar resource keeps a proxy from seeing, in words. Pure; for people, not for the data
// path.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/explain.h"

namespace sallyport::mesh {

// Of a question that no service answers: the service that would, if the proxy's Sidecar imported
// it. Empty: there is none.
std::vector<std::string> services_not_imported(const CompileInput& input, const Question& question);

}  // namespace sallyport::mesh
