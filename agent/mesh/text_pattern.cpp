#include "agent/mesh/text_pattern.h"

#include <algorithm>

#include "agent/core/ascii.h"
#include "agent/istio/path_template.h"

namespace sallyport::mesh {
namespace {

bool fits(TextPattern::Gap gap, std::string_view text) {
  using Gap = TextPattern::Gap;
  switch (gap) {
    case Gap::none:
      return text.empty();
    case Gap::any:
      return true;
    case Gap::some:
      return !text.empty();
    case Gap::no_slash:
      return text.find('/') == text.npos;
    case Gap::segment:
      return !text.empty() && std::all_of(text.begin(), text.end(), istio::is_path_character);
    case Gap::rest:
      return std::all_of(text.begin(), text.end(),
                         [](char c) { return c == '/' || istio::is_path_character(c); });
  }
  return false;
}

}  // namespace

TextPattern& TextPattern::add(Gap before, std::string_view literal) {
  pieces_.push_back({before, std::string(literal)});
  return *this;
}

TextPattern& TextPattern::end_with(Gap tail) {
  tail_ = tail;
  return *this;
}

TextPattern& TextPattern::ignore_case() {
  ignore_case_ = true;
  for (Piece& piece : pieces_)
    std::transform(piece.literal.begin(), piece.literal.end(), piece.literal.begin(), ascii::lower);
  return *this;
}

TextPattern TextPattern::of_value(std::string_view value, Gap present) {
  TextPattern out;
  if (value == "*") return out.end_with(present);
  if (value.starts_with('*')) return out.add(Gap::any, value.substr(1));
  if (!value.ends_with('*')) return out.add(Gap::none, value);
  return out.add(Gap::none, value.substr(0, value.size() - 1)).end_with(Gap::any);
}

// Validated: an operator is a whole segment, and none comes after `{**}`.
TextPattern TextPattern::of_path_template(std::string_view path) {
  TextPattern out;
  Gap before = Gap::none;
  while (!path.empty()) {
    const auto open = std::min(path.find('{'), path.size());
    if (open > 0) {
      out.add(before, path.substr(0, open));
      before = Gap::none;
    }
    path.remove_prefix(open);
    if (path.empty()) break;
    before = path.starts_with("{**}") ? Gap::rest : Gap::segment;
    path.remove_prefix(before == Gap::rest ? 4 : 3);
  }
  return out.end_with(before);
}

bool TextPattern::is_at(std::string_view text, std::size_t at, std::string_view literal) const {
  if (at > text.size() || text.size() - at < literal.size()) return false;
  const auto there = text.substr(at, literal.size());
  if (!ignore_case_) return there == literal;
  return std::equal(there.begin(), there.end(), literal.begin(),
                    [](char a, char b) { return ascii::lower(a) == b; });
}

std::size_t TextPattern::find(std::string_view text, std::size_t from,
                              std::string_view literal) const {
  if (!ignore_case_) return text.find(literal, from);
  for (; from + literal.size() <= text.size(); ++from)
    if (is_at(text, from, literal)) return from;
  return text.npos;
}

// Each literal is taken where it comes first, which leaves most to what follows: no other choice
// could match where this one does not. (Literals after a `segment` begin with a slash.)
bool TextPattern::matches(std::string_view text) const {
  std::size_t at = 0;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const auto& [before, literal] = pieces_[i];
    const bool last = i + 1 == pieces_.size() && tail_ == Gap::none;
    const bool needs_one = before == Gap::some || before == Gap::segment;
    std::size_t found = at;
    if (before != Gap::none) {
      const std::size_t from = at + (needs_one ? 1 : 0);
      if (last) {
        if (text.size() < from + literal.size()) return false;
        found = text.size() - literal.size();
      } else {
        found = find(text, from, literal);
        if (found == text.npos) return false;
      }
    }
    if (!is_at(text, found, literal)) return false;
    if (!fits(before, text.substr(at, found - at))) return false;
    at = found + literal.size();
  }
  return fits(tail_, text.substr(at));
}

}  // namespace sallyport::mesh
