#include "agent/istio/path_template.h"

#include <algorithm>

#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view one = "{*}", any = "{**}";

std::string_view without_outer_slashes(std::string_view path) {
  const auto from = path.find_first_not_of('/');
  if (from == path.npos) return {};
  return path.substr(from, path.find_last_not_of('/') - from + 1);
}

// Of one segment; `ended`: `{**}` came before it.
std::string segment_problem(std::string_view segment, bool of_template, bool ended) {
  if (segment == one || segment == any) return ended ? "{**} is not the last operator" : "";
  if (segment.find_first_of("{}") != segment.npos) {
    return "Contains '{' or '}' beyond a supported path template";
  }
  const bool literal =
      !segment.empty() && std::all_of(segment.begin(), segment.end(), is_path_character);
  if (of_template && !literal) {
    return "Contains segment " + quoted(segment) + " with invalid string literal";
  }
  return {};
}

}  // namespace

bool is_path_template(std::string_view path) {
  return path.find(one) != path.npos || path.find(any) != path.npos;
}

bool is_path_character(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter ||
         (c != '\0' && std::string_view("-._~%!$&'()+,;:@=").find(c) != std::string_view::npos);
}

std::optional<std::string> path_template_problem(std::string_view path) {
  const bool of_template = is_path_template(path);
  std::string_view rest = without_outer_slashes(path);
  for (bool ended = false;;) {
    const auto slash = std::min(rest.find('/'), rest.size());
    const auto segment = rest.substr(0, slash);
    const std::string problem = segment_problem(segment, of_template, ended);
    if (!problem.empty()) {
      return "invalid or unsupported path " + quoted(path) + ". " + problem;
    }
    ended = ended || segment == any;
    if (slash == rest.size()) return std::nullopt;
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace sallyport::istio
