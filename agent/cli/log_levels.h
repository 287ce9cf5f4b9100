// `sallyport proxy-config log`: levels of a running proxy's loggers.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::cli {

// "info", "config:debug" or "main=error,config:debug" → logger and level; the logger is empty for
// all of them, which come first. Error: an empty part.
Result<std::vector<std::pair<std::string, std::string>>> parse_levels(const std::string& text);

// Sets `levels` (empty: none), and returns what the proxy at `admin` has afterwards, as Envoy lists
// it. Error: a logger or level that it does not have (nothing is changed then), or no answer.
Result<std::string> log_levels_of(const std::string& admin, const std::string& levels);

}  // namespace sallyport::cli
