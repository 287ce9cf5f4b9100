// The steps that apply() and its native kin are made of. Internal to the module.
#pragma once
#include <string>

#include "iptables/state.h"
#include "iptables/undo.h"

namespace sallyport::rules {

struct Installed {
  Backend backend = Backend::nft;
  bool changed = false;
  std::string report;
};

Error failed(Family family, Error error, const std::string& trouble);
Error drifted(const std::string& where, const std::string& what);

// Makes our rules in one backend those of `wanted`. True when they were others before.
Result<bool> move_to(const Surveyed& entry, const Ruleset& wanted, Undo& undo);
Result<bool> move_routes(Family family, const PolicyRoutes& from, const PolicyRoutes& to,
                         Undo& undo);
// The address ::6 on lo.
Result<void> add_v6_source(Installed& installed, Undo& undo);

}  // namespace sallyport::rules
