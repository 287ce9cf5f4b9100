#include "agent/cli/suggest.h"

#include <algorithm>

#include "agent/core/edit_distance.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t word_bytes_max = 64;  // longer ones are no typing mistake

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > word_bytes_max) return {};
  std::string best;
  std::size_t least = std::max<std::size_t>(word.size() > 3 ? 2 : 1, word.size() / 3) + 1;
  for (const auto& candidate : known) {
    if (candidate.size() > word_bytes_max) continue;
    // A beginning counts as near: "proxy" for "proxy-config".
    const bool begins = word.size() >= 3 && candidate.starts_with(word);
    const auto far = begins ? 1 : edit_distance(word, candidate);
    if (far >= least) continue;
    least = far;
    best = candidate;
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto best = nearest(word, known);
  return best.empty() ? "" : "; did you mean \"" + best + "\"?";
}

}  // namespace sallyport::cli
