#include "agent/istio/labels.h"

#include <algorithm>

namespace sallyport::istio {

bool selects(const Labels& selector, const Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto at = labels.find(wanted.first);
    return at != labels.end() && at->second == wanted.second;
  });
}

std::string text_of(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ",";
    out.append(key).append("=").append(value);
  }
  return out;
}

}  // namespace sallyport::istio
