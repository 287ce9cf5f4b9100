// What a subcommand reads: a file, or "-" for stdin.
#pragma once
#include <string>

#include "agent/core/error.h"

namespace sallyport::cli {

// Error: "rules.yaml can't be read: No such file or directory".
Result<std::string> read_input(const std::string& path);

}  // namespace sallyport::cli
