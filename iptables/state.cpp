#include "iptables/state.h"

#include <algorithm>

#include "iptables/loopback_source.h"

namespace sallyport::rules {
namespace {

// Those backends that hold rules of ours.
std::vector<const Surveyed*> holding(const Survey& survey) {
  std::vector<const Surveyed*> out;
  for (const auto& entry : survey.usable) {
    if (entry.ruleset.has_ours()) out.push_back(&entry);
  }
  return out;
}

std::optional<std::string> wrong_backend(const std::vector<const Surveyed*>& found,
                                         std::optional<Backend> forced) {
  if (found.size() > 1) return "there are redirect rules in both backends, legacy and nft";
  if (forced && found.front()->tool.backend != *forced)
    return "the rules are in the " + std::string(name_of(found.front()->tool.backend)) + " backend";
  return {};
}

std::optional<std::string> rule_difference(const Ruleset& found, const FamilyPlan& wanted) {
  if (wanted.without_hold && !difference(found, *wanted.without_hold)) return {};
  return difference(found, wanted.rules);
}

bool contains_all(const PolicyRoutes& whole, const PolicyRoutes& part) {
  const auto in = [](const auto& all) {
    return
        [&all](const auto& item) { return std::find(all.begin(), all.end(), item) != all.end(); };
  };
  return part.rules.size() <= whole.rules.size() && part.tables.size() <= whole.tables.size() &&
         std::all_of(part.rules.begin(), part.rules.end(), in(whole.rules)) &&
         std::all_of(part.tables.begin(), part.tables.end(), in(whole.tables));
}

}  // namespace

bool FamilyState::has_ours() const { return !holding(survey).empty() || routes != PolicyRoutes{}; }

std::string label(const Tool& tool) {
  return std::string(name_of(tool.family)) + " (" + std::string(name_of(tool.backend)) + ")";
}

Result<BothPlans> plans_of(const Options& options) {
  const auto made = plan(options);
  if (!made) return made.error();
  const auto routes = planned_routes(options);
  BothPlans plans{{Family::v4, planned(made->restore_v4), routes, {}},
                  {Family::v6, planned(made->restore_v6), routes, {}}};
  if (!options.hold_until) return plans;
  Options unheld = options;
  unheld.hold_until.reset();
  const auto less = plan(unheld);
  if (!less) return less.error();
  plans.v4.without_hold = planned(less->restore_v4);
  plans.v6.without_hold = planned(less->restore_v6);
  return plans;
}

Result<FamilyState> look(Family family) {
  auto survey = rules::survey(family);
  if (!survey) return survey.error();
  auto routes = read_policy_routes(family);
  if (!routes) return routes.error();
  return FamilyState{std::move(*survey), std::move(*routes)};
}

Result<FamilyState> look_beside(Family family) {
  if (has_iptables(family)) return look(family);
  auto routes = read_policy_routes(family);
  if (!routes) return routes.error();
  return FamilyState{{}, std::move(*routes)};
}

std::optional<std::string> drift(const FamilyState& found, const FamilyPlan& wanted,
                                 std::optional<Backend> forced) {
  if (!contains_all(wanted.routes, found.routes)) return difference(found.routes, wanted.routes);
  const auto backends = holding(found.survey);
  if (backends.empty()) return {};
  if (auto wrong = wrong_backend(backends, forced)) return wrong;
  const auto& there = backends.front()->ruleset;
  const auto against = [&there](const Ruleset& rules) {
    return difference(there, without_missing_tables(rules, there));
  };
  if (wanted.without_hold && !against(*wanted.without_hold)) return {};
  return against(wanted.rules);
}

std::optional<std::string> difference(const FamilyState& found, const FamilyPlan& wanted,
                                      std::optional<Backend> forced) {
  const auto backends = holding(found.survey);
  if (backends.empty()) return "there are no redirect rules";
  if (auto wrong = wrong_backend(backends, forced)) return wrong;
  if (auto rule = rule_difference(backends.front()->ruleset, wanted)) return rule;
  if (auto route = difference(found.routes, wanted.routes)) return route;
  if (wanted.family == Family::v6 && !has_loopback_source())
    return "the address ::6 is missing on lo";
  return {};
}

bool may_be_without_v6(Ipv6 state, const Result<FamilyState>& found) {
  return state == Ipv6::possible && (!found || !found->has_ours());
}

}  // namespace sallyport::rules
