// Every code that an analysis can give.
#pragma once
#include <span>
#include <string_view>

#include "agent/analyze/finding.h"

namespace sallyport::analyze {

std::span<const Code> codes();  // by id
// REQUIRES: it is in the table.
const Code& code(std::string_view id);

}  // namespace sallyport::analyze
