#include "agent/istio/scalar.h"

#include <charconv>
#include <cmath>

#include "agent/core/ascii.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view true_words[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                           "True", "TRUE", "on",  "On",  "ON"};
constexpr std::string_view false_words[] = {"n",     "N",     "no",  "No",  "NO", "false",
                                            "False", "FALSE", "off", "Off", "OFF"};

template <std::size_t N>
bool among(std::string_view text, const std::string_view (&words)[N]) {
  return std::find(std::begin(words), std::end(words), text) != std::end(words);
}

std::optional<int64_t> parse_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
    text.remove_prefix(kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1);
  }
  if (text.empty() || text[0] == '-' || text[0] == '+') return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
}

// Go: ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$
bool looks_real(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t from = at;
    while (at < text.size() && ascii::is_digit(text[at])) ++at;
    return at - from;
  };
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
  const std::size_t whole = digits();
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (at < text.size() && (text[at] | 0x20) == 'e') {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

std::optional<double> parse_real(std::string_view text) {
  if (!looks_real(text)) return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::string without_underscores(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '_');
  return plain;
}

}  // namespace

Node::Kind resolve_plain(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return Node::Kind::null;
  }
  if (boolean_value(text)) return Node::Kind::boolean;
  if (!ascii::is_digit(text[0]) && text[0] != '-' && text[0] != '+' && text[0] != '.') {
    return Node::Kind::text;
  }
  const std::string plain = without_underscores(text);
  if (parse_integer(plain)) return Node::Kind::integer;
  return looks_real(plain) ? Node::Kind::real : Node::Kind::text;
}

std::optional<bool> boolean_value(std::string_view text) {
  if (among(text, true_words)) return true;
  if (among(text, false_words)) return false;
  return std::nullopt;
}

std::optional<bool> go_boolean(std::string_view text) {
  constexpr std::string_view yes[] = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::string_view no[] = {"0", "f", "F", "FALSE", "false", "False"};
  if (among(text, yes)) return true;
  if (among(text, no)) return false;
  return std::nullopt;
}

std::optional<int64_t> integer_value(std::string_view text) {
  const std::string plain = without_underscores(text);
  if (const auto value = parse_integer(plain)) return value;
  const auto real = parse_real(plain);
  if (!real || std::trunc(*real) != *real || std::fabs(*real) > 1e15) return std::nullopt;
  return static_cast<int64_t>(*real);
}

std::optional<double> real_value(std::string_view text) {
  const std::string plain = without_underscores(text);
  if (const auto value = parse_integer(plain)) return static_cast<double>(*value);
  return parse_real(plain);
}

std::optional<std::chrono::nanoseconds> duration_value(std::string_view text) {
  constexpr long double ns_max = 100.0L * 365 * 24 * 3600 * 1e9L;
  constexpr std::pair<std::string_view, long double> units[] = {
      {"ns", 1},    {"us", 1e3L}, {"\xc2\xb5s", 1e3L}, {"\xce\xbcs", 1e3L},
      {"ms", 1e6L}, {"s", 1e9L},  {"m", 60e9L},        {"h", 3600e9L}};
  if (text == "0") return std::chrono::nanoseconds(0);
  long double total = 0;
  if (text.empty() || text.size() > 64) return std::nullopt;
  while (!text.empty()) {
    long double number = 0, scale = 1;
    std::size_t digits = 0, at = 0;
    for (; at < text.size() && ascii::is_digit(text[at]); ++at, ++digits)
      number = number * 10 + (text[at] - '0');
    if (at < text.size() && text[at] == '.') {
      for (++at; at < text.size() && ascii::is_digit(text[at]); ++at, ++digits) {
        number += (text[at] - '0') * (scale /= 10);
      }
    }
    if (digits == 0) return std::nullopt;
    text.remove_prefix(at);
    std::size_t length = 0;
    while (length < text.size() && !ascii::is_digit(text[length]) && text[length] != '.') ++length;
    const auto* unit = std::find_if(std::begin(units), std::end(units), [&](const auto& candidate) {
      return candidate.first == text.substr(0, length);
    });
    if (unit == std::end(units)) return std::nullopt;
    total += number * unit->second;
    text.remove_prefix(length);
  }
  if (total > ns_max) return std::nullopt;
  return std::chrono::nanoseconds(std::llround(total));
}

std::vector<std::string_view> comma_separated(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t first = part.find_first_not_of(' ');
    if (first == std::string_view::npos) continue;
    parts.push_back(part.substr(first, part.find_last_not_of(' ') - first + 1));
  }
  return parts;
}

std::string one_line(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t shown_max = 100;
  const bool cut = text.size() > shown_max;
  return '"' + one_line(text.substr(0, shown_max)) + (cut ? "\"..." : "\"");
}

}  // namespace sallyport::istio
