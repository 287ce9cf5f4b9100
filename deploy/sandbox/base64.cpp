#include "deploy/sandbox/base64.h"

#include <cstdint>

namespace sallyport::sandbox {

std::optional<std::string> decode_base64(std::string_view text) {
  static constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0, padding = 0;
  for (const char letter : text) {
    if (letter == '\n' || letter == '\r' || letter == ' ' || letter == '\t') continue;
    if (letter == '=') {
      ++padding;
      continue;
    }
    const std::size_t value = alphabet.find(letter);
    if (value == std::string_view::npos || padding > 0) return {};
    bits = (bits << 6) | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>((bits >> count) & 0xff));
    }
  }
  if (count >= 6 || padding > 2) return {};
  return bytes;
}

}  // namespace sallyport::sandbox
