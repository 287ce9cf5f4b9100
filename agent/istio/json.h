// Strict JSON (RFC 8259) as the same tree that YAML gives: for texts that must be JSON because
// Istio hands them to a JSON parser.
//
// Refused beyond the grammar: a repeated key, half a surrogate pair, and what is nested deeper than
// limits::yaml_depth. Pure; any thread.
#pragma once
#include <string_view>

#include "agent/istio/tree.h"

namespace sallyport::istio {

// One value, then nothing: one root or one error. A number keeps its text. `first_line` is the line
// that `text` begins with.
Trees parse_json(std::string_view text, int first_line);

}  // namespace sallyport::istio
