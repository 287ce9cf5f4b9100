// What was learned of destinations beyond the registry, for people and for kubectl. Pure.
#pragma once
#include <string>

#include "agent/cli/json_document.h"
#include "agent/observe/egress.h"

namespace sallyport::cli {

// /debug/egressz, or a saved copy. Errors name the field. What it says is not trusted.
Result<observe::EgressReport> read_egress(const Json* document);

// One line a destination, and what REGISTRY_ONLY does with them.
std::string egress_table(const observe::EgressReport& report);

// ServiceEntries that allow what is not declared yet, a host each (UDP apart: a port number stands
// once in a ServiceEntry). The table goes before them, as comments.
std::string egress_yaml(const observe::EgressReport& report);

}  // namespace sallyport::cli
