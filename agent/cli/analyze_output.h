// Findings of an analysis as istioctl prints them, with field and cure.
#pragma once
#include <span>
#include <string>

#include "agent/analyze/finding.h"
#include "agent/cli/json_output.h"

namespace sallyport::cli {

// "Error [IST0101] (VirtualService a.default rules.yaml:9) Referenced host not found: ..." and,
// indented below it, field and cure.
std::string finding_text(const analyze::Finding& finding);
std::string findings_document(std::span<const analyze::Finding> findings, Output output);
std::string codes_text(std::span<const analyze::Code> codes);
std::string codes_document(std::span<const analyze::Code> codes, Output output);

}  // namespace sallyport::cli
