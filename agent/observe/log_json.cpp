// Text as the inside of a JSON string (RFC 8259 section 7).
#include <algorithm>
#include <cstring>

#include "agent/observe/log_plan.h"

namespace sallyport::observe {
namespace {

// Bytes of the UTF-8 character that `text` begins with; 0: it is none (RFC 3629: no overlong form,
// no surrogate, nothing above U+10FFFF).
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0), second = byte(1);
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && second < 0xa0,
               surrogate = first == 0xed && second > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && second < 0x90, beyond = first == 0xf4 && second > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

char* put_escaped(char* to, char c) {
  static constexpr std::string_view plain = "\"\\\b\f\n\r\t", names = "\"\\bfnrt";
  static constexpr char digits[] = "0123456789abcdef";
  *to++ = '\\';
  if (const auto at = plain.find(c); at != plain.npos) return *to = names[at], to + 1;
  to = put(to, "u00");
  *to++ = digits[static_cast<unsigned char>(c) >> 4];
  *to++ = digits[c & 0xf];
  return to;
}

}  // namespace

char* write_json_text(char* to, std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '"' || c == '\\') {
      to = put_escaped(to, c);
      i++;
    } else if (byte < 0x80) {
      *to++ = c;
      i++;
    } else if (const auto size = character_size(text.substr(i))) {
      to = put(to, text.substr(i, size));
      i += size;
    } else {
      to = put(to, "\xef\xbf\xbd");
      i++;
    }
  }
  return to;
}

char* remove_null_members(char* begin, const char* end) {
  char* to = begin;
  char* member = begin;  // where the member that is being read was put, its comma included
  for (const char* from = begin; from < end;) {
    const bool null = *from == 'n' && to > begin && to[-1] == ':';
    if (null) {
      to = member;
      from += 4;
      if (from < end && *from == ',' && to[-1] == '{') from++;
    } else if (*from == '"') {
      if (to[-1] == '{') member = to;
      const char* const text = from++;
      while (*from != '"') from += *from == '\\' ? 2 : 1;
      from++;
      to = std::copy(text, from, to);
    } else {
      if (*from == ',') member = to;
      *to++ = *from++;
    }
  }
  return to;
}

std::string json_text(std::string_view text) {
  std::string escaped(6 * text.size(), '\0');
  escaped.resize(static_cast<std::size_t>(write_json_text(escaped.data(), text) - escaped.data()));
  return escaped;
}

}  // namespace sallyport::observe
