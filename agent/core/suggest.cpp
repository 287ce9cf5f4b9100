#include "agent/core/suggest.h"

#include <algorithm>

namespace sallyport {
namespace {

constexpr std::size_t word_bytes_max = 64;  // longer ones are no typing mistake

// Letters put in, left out, replaced, or two neighbours swapped (each 1).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); i++) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); j++) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); i++) {
    for (std::size_t j = 1; j <= b.size(); j++) {
      const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({replaced, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

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

}  // namespace sallyport
