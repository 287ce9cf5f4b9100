#include "agent/istio/regex.h"

#include <re2/re2.h>

#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

re2::RE2::Options options() {
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(1 << 20);  // bytes, of its automaton's cache; when full it begins anew
  return options;
}

}  // namespace

std::optional<std::string> regex_problem(std::string_view pattern) {
  constexpr std::size_t longest = 1024;
  if (pattern.empty()) return "regex string match should not be empty";
  if (pattern.size() > longest) {
    return "regex is too large, max length allowed is " + std::to_string(longest);
  }
  const re2::RE2 regex(piece(pattern), options());
  if (regex.ok()) return std::nullopt;
  return quoted(pattern) + ": " + regex.error() +
         "; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)";
}

std::optional<std::string> rewrite_problem(std::string_view pattern, std::string_view rewrite) {
  const re2::RE2 regex(piece(pattern), options());
  std::string problem;
  if (regex.CheckRewriteString(piece(rewrite), &problem)) return std::nullopt;
  return problem;
}

Regex::Regex(std::string_view pattern)
    : compiled_(std::make_shared<const re2::RE2>(piece(pattern), options())) {}

bool Regex::matches_all_of(std::string_view text) const {
  return re2::RE2::FullMatch(piece(text), *compiled_);
}

bool Regex::matches_part_of(std::string_view text) const {
  return re2::RE2::PartialMatch(piece(text), *compiled_);
}

std::string Regex::replaced(std::string_view text, std::string_view rewrite) const {
  std::string out(text);
  re2::RE2::GlobalReplace(&out, *compiled_, piece(rewrite));
  return out;
}

}  // namespace sallyport::istio
