#include "agent/cli/input.h"

#include <iostream>
#include <sstream>

#include "agent/config/file.h"
#include "agent/core/limits.h"

namespace sallyport::cli {

Result<std::string> read_input(const std::string& path) {
  if (path != "-") {
    auto text = config::read_file(path, limits::admin_answer_bytes);
    if (text) return text;
    return Error{.context = path + " can't be read: " + text.error().context};
  }
  std::ostringstream text;
  text << std::cin.rdbuf();
  return std::move(text).str();
}

}  // namespace sallyport::cli
