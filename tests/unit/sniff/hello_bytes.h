// ClientHellos byte by byte, well formed or not, for the tests of the sniffer.
#pragma once
#include <string>
#include <string_view>

namespace sallyport::sniff {

inline std::string number(std::size_t value, int size) {
  std::string out;
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 0xff);
  }
  return out;
}
inline std::string vector(int length_size, std::string_view content) {
  return number(content.size(), length_size) + std::string(content);
}
inline std::string extension(unsigned type, std::string_view content) {
  return number(type, 2) + vector(2, content);
}
inline std::string server_name(std::string_view name) {
  return extension(0, vector(2, number(0, 1) + vector(2, name)));
}
template <class... Names>
std::string alpn(Names... names) {
  return extension(16, vector(2, (vector(1, names) + ... + "")));
}
inline std::string padding(std::size_t size) { return extension(21, std::string(size, '\0')); }

struct HelloParts {
  std::string version = "\x03\x03", session_id, ciphers = std::string("\x13\x01", 2);
  std::string compressions = std::string(1, '\0');
  bool has_extensions = true;
  std::string extensions, after;
};

// A handshake message, without records.
inline std::string message(const HelloParts& parts) {
  std::string body = parts.version + std::string(32, 'r') + vector(1, parts.session_id) +
                     vector(2, parts.ciphers) + vector(1, parts.compressions);
  if (parts.has_extensions) body += vector(2, parts.extensions);
  return number(1, 1) + vector(3, body + parts.after);
}
inline std::string message_with(std::string extensions) {
  HelloParts parts;
  parts.extensions = std::move(extensions);
  return message(parts);
}
// Cut into records of at most `size` bytes.
inline std::string records(std::string_view message, std::size_t size = 16384) {
  std::string out;
  for (; !message.empty(); message.remove_prefix(std::min(size, message.size()))) {
    out += std::string("\x16\x03\x01", 3) + vector(2, message.substr(0, size));
  }
  return out;
}
inline std::string hello_for(std::string_view name) {
  return records(message_with(server_name(name)));
}

}  // namespace sallyport::sniff
