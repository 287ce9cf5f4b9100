#include "agent/cli/input.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "agent/config/file.h"
#include "agent/core/limits.h"

namespace sallyport::cli {

namespace {

// Pipes as a shell makes them: `-f <(kustomize build .)`, `-f /dev/stdin`.
bool is_stream(const std::string& path) {
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  return kind == std::filesystem::file_type::fifo || kind == std::filesystem::file_type::character;
}

std::string rest_of(std::istream& stream) {
  std::ostringstream text;
  text << stream.rdbuf();
  return std::move(text).str();
}

}  // namespace

Result<std::string> read_input(const std::string& path) {
  if (path == "-") return rest_of(std::cin);
  if (is_stream(path)) {
    std::ifstream stream(path, std::ios::binary);
    if (stream) return rest_of(stream);
  }
  auto text = config::read_file(path, limits::admin_answer_bytes);
  if (text) return text;
  return Error{.context = path + " can't be read: " + text.error().context};
}

}  // namespace sallyport::cli
