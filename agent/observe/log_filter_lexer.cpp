// CEL's tokens, as far as a filter has them (cel-spec, Syntax).
#include <charconv>

#include "agent/core/ascii.h"
#include "agent/observe/log_filter_plan.h"

namespace sallyport::observe {
namespace {

constexpr std::string_view two_signs[] = {"||", "&&", "==", "!=", "<=", ">="};

bool is_name_start(char c) { return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }
bool is_name_part(char c) { return is_name_start(c) || ascii::is_digit(c); }

// Of one escape, from behind its backslash. Moves `at` behind it.
std::optional<char> simple_escape(char c) {
  static constexpr std::string_view names = "abfnrtv\\?\"'`", values = "\a\b\f\n\r\t\v\\?\"'`";
  const auto at = names.find(c);
  return at == names.npos ? std::nullopt : std::optional(values[at]);
}

// \xHH, the only one of the numeric escapes that is read, and ASCII only.
std::optional<char> hex_escape(std::string_view digits) {
  uint8_t value = 0;
  if (digits.size() < 2) return std::nullopt;
  const auto read = std::from_chars(digits.data(), digits.data() + 2, value, 16);
  const bool good = read.ec == std::errc() && read.ptr == digits.data() + 2 && value < 0x80;
  return good ? std::optional(static_cast<char>(value)) : std::nullopt;
}

}  // namespace

Error bad_filter(std::size_t column, std::string_view why) {
  Error error{Fault::internal, Side::local};
  error.context = "column " + std::to_string(column) + ": " + std::string(why);
  return error;
}

FilterToken FilterLexer::token(FilterToken::Kind kind, std::size_t begin) const {
  return {.kind = kind, .text = text_.substr(begin, at_ - begin), .column = begin + 1};
}

Result<FilterToken> FilterLexer::read_text(std::size_t begin, bool raw) {
  const char quote = text_[at_++];
  const std::size_t inside = at_;
  while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
    at_ += text_[at_] == '\\' && !raw ? 2 : 1;
  }
  if (at_ >= text_.size() || text_[at_] != quote) return bad_filter(begin + 1, "has no end");
  FilterToken out{.kind = FilterToken::Kind::text,
                  .text = text_.substr(inside, at_ - inside),
                  .raw = raw,
                  .column = begin + 1};
  ++at_;
  return out;
}

FilterToken FilterLexer::read_number(std::size_t begin) {
  const auto digits = [this] {
    while (at_ < text_.size() && ascii::is_digit(text_[at_])) ++at_;
  };
  digits();
  auto kind = FilterToken::Kind::integer;
  if (at_ + 1 < text_.size() && text_[at_] == '.' && ascii::is_digit(text_[at_ + 1])) {
    kind = FilterToken::Kind::real;
    ++at_;
    digits();
  }
  auto out = token(kind, begin);
  const bool is_unsigned =
      kind == FilterToken::Kind::integer && at_ < text_.size() && (text_[at_] | 0x20) == 'u';
  if (is_unsigned) ++at_;
  return out;
}

Result<FilterToken> FilterLexer::next() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
    ++at_;
  const std::size_t begin = at_;
  if (at_ == text_.size()) return token(FilterToken::Kind::end, begin);
  const char c = text_[at_];
  if (c == '"' || c == '\'') return read_text(begin, false);
  const auto rest = text_.substr(at_);
  const bool raw = rest.size() > 1 && (c == 'r' || c == 'R') && (rest[1] == '"' || rest[1] == '\'');
  if (raw) {
    ++at_;
    return read_text(begin, true);
  }
  if (ascii::is_digit(c)) return read_number(begin);
  if (is_name_start(c)) {
    while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
    return token(FilterToken::Kind::name, begin);
  }
  at_ += 1;
  for (const auto sign : two_signs)
    if (rest.starts_with(sign)) at_ = begin + 2;
  const auto out = token(FilterToken::Kind::symbol, begin);
  static constexpr std::string_view one_sign = "!<>()[].,-";
  if (out.text.size() == 1 && one_sign.find(c) == one_sign.npos)
    return bad_filter(begin + 1,
                      "'" + std::string(1, c >= 0x20 && c < 0x7f ? c : '?') + "' is not supported");
  return out;
}

Result<std::string> unescaped(const FilterToken& token) {
  if (token.raw) return std::string(token.text);
  std::string out;
  for (std::size_t i = 0; i < token.text.size(); i++) {
    if (token.text[i] != '\\') {
      out += token.text[i];
      continue;
    }
    ++i;
    auto c = simple_escape(token.text[i]);
    if (!c && token.text[i] == 'x') {
      c = hex_escape(token.text.substr(i + 1));
      i += 2;
    }
    if (!c) return bad_filter(token.column, "has an escape that is not supported");
    out += *c;
  }
  return out;
}

}  // namespace sallyport::observe
