// A text as the block of a YAML field.
#pragma once
#include <sstream>
#include <string>

namespace sallyport::test {

// Each line behind four blanks.
inline std::string indented(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) out += "    " + line + "\n";
  return out;
}

}  // namespace sallyport::test
