// What was changed so far, and how to give it back when a later step fails. Internal to the module.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "iptables/backend.h"
#include "iptables/policy_route.h"

namespace sallyport::rules {

class Undo {
public:
  void remember(const Tool& tool, const Ruleset& before);
  void remember(Family family, const PolicyRoutes& before);
  void remember_added_source();
  // `before`: saved_native().
  void remember_native(const std::string& before);
  std::size_t steps() const { return steps_.size(); }

  // Takes back all but the first `keep` steps, the last first. Returns what could not be given
  // back, as a sentence to append.
  std::string roll_back(std::size_t keep = 0);

private:
  std::vector<std::function<Result<void>()>> steps_;
};

}  // namespace sallyport::rules
