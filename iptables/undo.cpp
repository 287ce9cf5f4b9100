#include "iptables/undo.h"

#include "iptables/loopback_source.h"
#include "iptables/nft_program.h"

namespace sallyport::rules {

void Undo::remember(const Tool& tool, const Ruleset& before) {
  steps_.emplace_back([tool, before]() -> Result<void> {
    const auto now = read_rules(tool);
    if (!now) return now.error();
    const std::string input = transition(*now, before);
    return input.empty() ? Result<void>() : restore(tool, input);
  });
}

void Undo::remember(Family family, const PolicyRoutes& before) {
  steps_.emplace_back([family, before]() -> Result<void> {
    const auto now = read_policy_routes(family);
    if (!now) return now.error();
    return change_policy_routes(family, *now, before);
  });
}

void Undo::remember_added_source() {
  steps_.emplace_back([]() -> Result<void> {
    const auto removed = remove_loopback_source();
    return removed ? Result<void>() : removed.error();
  });
}

void Undo::remember_native(const std::string& before) {
  steps_.emplace_back([before] { return load_native(native_replacement({}) + before); });
}

std::string Undo::roll_back(std::size_t keep) {
  std::string trouble;
  for (; steps_.size() > keep; steps_.pop_back()) {
    if (const auto done = steps_.back()(); !done) trouble += "; " + done.error().context;
  }
  if (trouble.empty()) return {};
  return ". The rules could not be given back as they were" + trouble;
}

}  // namespace sallyport::rules
