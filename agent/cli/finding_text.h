// A finding as a line of a report: "rules.yaml:14: error: DestinationRule default/x: FIELD:
// REASON".
#pragma once
#include <string>

#include "agent/istio/decode.h"

namespace sallyport::cli {

std::string finding_line(const istio::Finding& finding);

}  // namespace sallyport::cli
