#include "agent/admin/json.h"

#include <charconv>

namespace sallyport::admin {
namespace {

// Length of the well-formed UTF-8 sequence that `text` starts with; 0 if it starts with none.
std::size_t sequence(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (length == 3 && ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)))
    return 0;
  if (length == 4 && ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)))
    return 0;
  return length;
}

}  // namespace

void JsonWriter::separate() {
  if (named_) {
    named_ = false;
    return;
  }
  if (depth_ == 0) return;
  if (!first_) out_ += ',';
  new_line();
}

void JsonWriter::new_line() {
  out_ += '\n';
  out_.append(static_cast<std::size_t>(depth_), ' ');
}

void JsonWriter::raw(std::string_view text) {
  separate();
  out_ += text;
  first_ = false;
}

void JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  ++depth_;
  first_ = true;
}

void JsonWriter::close(char bracket) {
  --depth_;
  if (!first_) new_line();
  out_ += bracket;
  first_ = false;
}

void JsonWriter::value(double number) {
  char digits[32];
  raw({digits, std::to_chars(digits, digits + sizeof digits, number).ptr});
}

void JsonWriter::name(std::string_view key) {
  separate();
  escape(key);
  out_ += ": ";
  first_ = false;
  named_ = true;
}

void JsonWriter::value(std::string_view text) {
  separate();
  escape(text);
  first_ = false;
}

void JsonWriter::escape(std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out_ += '"';
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    const std::size_t length = sequence(text);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += text[0];
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (length == 0 || c < 0x20 || c == 0x7f) {
      out_ += "\\u00";
      out_ += hex[c >> 4];
      out_ += hex[c & 15];
    } else {
      out_ += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out_ += '"';
}

}  // namespace sallyport::admin
