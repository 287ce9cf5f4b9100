// What one family holds of ours, what it is to hold, and how the two differ. Internal to the
// module.
#pragma once
#include <optional>
#include <string>

#include "iptables/backend.h"
#include "iptables/policy_route.h"

namespace sallyport::rules {

struct FamilyPlan {
  Family family = Family::v4;
  Ruleset rules;
  PolicyRoutes routes;
  std::optional<Ruleset> without_hold;  // as good, where the kernel can't hold SYNs
};

struct FamilyState {
  Survey survey;
  PolicyRoutes routes;
  bool has_ours() const;
};

struct BothPlans {
  FamilyPlan v4, v6;
};

Result<BothPlans> plans_of(const Options& options);

// Changes nothing.
Result<FamilyState> look(Family family);
// The same where the rules are nft's: of an image without iptables, the routes alone.
Result<FamilyState> look_beside(Family family);

// Where something of ours is there that is not as planned, as a sentence; what is merely not there
// (yet) is none. `forced`: the backend that the rules must be in.
std::optional<std::string> drift(const FamilyState& found, const FamilyPlan& wanted,
                                 std::optional<Backend> forced);

// The first difference of all, as a sentence.
std::optional<std::string> difference(const FamilyState& found, const FamilyPlan& wanted,
                                      std::optional<Backend> forced);

std::string label(const Tool& tool);  // "IPv4 (nft)"

// Whether this family, IPv6, may be without any rule of ours: nobody could reach it.
bool may_be_without_v6(Ipv6 state, const Result<FamilyState>& found);

}  // namespace sallyport::rules
