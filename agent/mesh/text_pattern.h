// A text pattern of an AuthorizationPolicy: literals with gaps between them, as Istio's matchers
// mean them. Matching looks at each character a bounded number of times and allocates nothing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::mesh {

class TextPattern {
public:
  // What may stand between two literals.
  enum class Gap : uint8_t {
    none,
    any,       // anything
    some,      // at least one character
    no_slash,  // anything without `/`
    segment,   // `{*}`: at least one character that a path segment may have
    rest,      // `{**}`: such characters and `/`
  };
  enum class Case : uint8_t { exact, ignored };

  // Appends; a pattern that nothing was appended to matches the empty text only.
  // REQUIRES: what follows a gap is one literal: `none` comes at the start only.
  TextPattern& add(Gap before, std::string_view literal);
  TextPattern& end_with(Gap tail);
  TextPattern& ignore_case();

  // "a" exactly, "a*" as prefix, "*a" as suffix; "*": `present`.
  static TextPattern of_value(std::string_view value, Gap present);
  // "/a/{*}/b/{**}".
  static TextPattern of_path_template(std::string_view path);

  bool matches(std::string_view text) const;
  bool operator==(const TextPattern&) const = default;

private:
  struct Piece {
    Gap before = Gap::none;
    std::string literal;
    bool operator==(const Piece&) const = default;
  };
  bool is_at(std::string_view text, std::size_t at, std::string_view literal) const;
  std::size_t find(std::string_view text, std::size_t from, std::string_view literal) const;

  std::vector<Piece> pieces_;
  Gap tail_ = Gap::none;
  bool ignore_case_ = false;
};

}  // namespace sallyport::mesh
