// RE2, Istio's regular expressions: linear time, whatever the pattern (hardening.md).
//
// Threading: a Regex may be used by any number of threads at once.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace sallyport::istio {

// Istio's limit and its words for what is wrong; nothing when `pattern` is good.
std::optional<std::string> regex_problem(std::string_view pattern);
// `rewrite` may name groups of `pattern` as \1 ... \9 (\0 is all of it).
std::optional<std::string> rewrite_problem(std::string_view pattern, std::string_view rewrite);

class Regex {
public:
  // REQUIRES: regex_problem() has none with it.
  explicit Regex(std::string_view pattern);
  bool matches_all_of(std::string_view text) const;
  bool matches_part_of(std::string_view text) const;  // as CEL's matches()
  // Every match replaced, as Envoy's regex_rewrite does.
  std::string replaced(std::string_view text, std::string_view rewrite) const;

private:
  std::shared_ptr<const re2::RE2> compiled_;
};

}  // namespace sallyport::istio
