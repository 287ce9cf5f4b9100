#include "agent/cli/input.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <vector>

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

// Its rest; more than a file may have is an error, too.
Result<std::string> rest_of(std::istream& stream, const std::string& path) {
  std::string text;
  std::vector<char> chunk(64 * 1024);
  while (stream.read(chunk.data(), std::ssize(chunk)) || stream.gcount() > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > limits::admin_answer_bytes)
      return Error{.context = path + " can't be read: larger than " +
                              std::to_string(limits::admin_answer_bytes) + " bytes"};
  }
  return text;
}

}  // namespace

Result<std::string> read_input(const std::string& path) {
  if (path == "-") return rest_of(std::cin, path);
  if (is_stream(path)) {
    std::ifstream stream(path, std::ios::binary);
    if (stream) return rest_of(stream, path);
  }
  auto text = config::read_file(path, limits::admin_answer_bytes);
  if (text) return text;
  return Error{.context = path + " can't be read: " + text.error().context};
}

}  // namespace sallyport::cli
