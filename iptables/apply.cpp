// The order of things: what is there, whether it may be changed, the change, and giving back what
// was there when a step fails.
#include <algorithm>

#include "iptables/dns_flows.h"
#include "iptables/loopback_source.h"
#include "iptables/namespace_lock.h"
#include "iptables/native.h"
#include "iptables/nft_program.h"
#include "iptables/state.h"
#include "iptables/steps.h"

namespace sallyport::rules {
namespace {

// Puts the rules into the first of the candidates that takes them.
Result<Installed> fill(const std::vector<const Surveyed*>& tried, const Ruleset& wanted,
                       Undo& undo) {
  std::optional<Error> failure;
  for (const auto* entry : tried) {
    const std::size_t keep = undo.steps();
    const auto changed = move_to(*entry, wanted, undo);
    if (changed) {
      return Installed{entry->tool.backend, *changed,
                       label(entry->tool) + ": " + std::to_string(wanted.rule_count()) +
                           " rules, " + (*changed ? "set" : "unchanged") + "\n"};
    }
    Error error = changed.error();
    error.context += undo.roll_back(keep);
    // Both reasons are told: that nft can't be used may be the one to mend.
    if (failure) error.context = failure->context + "; then " + error.context;
    failure = std::move(error);
  }
  return *failure;
}

// The matches "socket" and "time" are not in every kernel. Without them an application that is
// faster than its sidecar is refused, as with Istio's rules, and nothing leaks.
Result<Installed> fill_without_hold(const std::vector<const Surveyed*>& tried,
                                    const FamilyPlan& wanted, Undo& undo, const Error& why) {
  auto installed = fill(tried, *wanted.without_hold, undo);
  if (!installed) return why;
  installed->report += std::string(name_of(wanted.family)) +
                       ": connections are refused, not held, until the sidecar listens (" +
                       why.context + ")\n";
  return installed;
}

Result<Installed> install_rules(const FamilyState& found, const FamilyPlan& wanted,
                                std::optional<Backend> forced, Undo& undo) {
  const auto tried = candidates(found.survey, wanted.family, forced);
  if (!tried) return tried.error();
  auto installed = fill(*tried, wanted.rules, undo);
  if (!installed && wanted.without_hold)
    installed = fill_without_hold(*tried, wanted, undo, installed.error());
  if (!installed) return installed;
  // Rules of ours in the other backend, left by another tool or another choice, would act too.
  for (const auto& entry : found.survey.usable) {
    if (entry.tool.backend == installed->backend || !entry.ruleset.has_ours()) continue;
    if (const auto removed = move_to(entry, {}, undo); !removed) return removed.error();
    installed->changed = true;
    installed->report += label(entry.tool) + ": removed\n";
  }
  return installed;
}

// What a rule sends by a route finds it there: routes come before the rules, and go behind them.
Result<Installed> install(const FamilyState& found, const FamilyPlan& wanted,
                          std::optional<Backend> forced, Undo& undo) {
  const PolicyRoutes meanwhile = joined(found.routes, wanted.routes);
  const auto came = move_routes(wanted.family, found.routes, meanwhile, undo);
  if (!came) return came.error();
  auto installed = install_rules(found, wanted, forced, undo);
  if (!installed) return installed;
  const auto went = move_routes(wanted.family, meanwhile, wanted.routes, undo);
  if (!went) return went.error();
  if (*came || *went) {
    installed->changed = true;
    installed->report += std::string(name_of(wanted.family)) + ": routes of the mark set\n";
  }
  return installed;
}

Result<Installed> install_v6(const FamilyState& found, const FamilyPlan& wanted,
                             std::optional<Backend> forced, Undo& undo) {
  auto installed = install(found, wanted, forced, undo);
  if (!installed) return installed;
  const auto added = add_v6_source(*installed, undo);
  if (!added) return added.error();
  return installed;
}

Result<std::string> clear(Family family, const FamilyState& found, Undo& undo) {
  std::string report;
  for (const auto& entry : found.survey.usable) {
    const auto removed = move_to(entry, {}, undo);
    if (!removed) return removed.error();
    if (*removed) report += label(entry.tool) + ": removed\n";
  }
  const auto routes = move_routes(family, found.routes, {}, undo);
  if (!routes) return routes.error();
  if (*routes) report += std::string(name_of(family)) + ": routes of the mark removed\n";
  return report;
}

Result<std::string> clear_v6(bool native, Undo& undo) {
  const auto found = native ? look_beside(Family::v6) : look(Family::v6);
  if (!found) return found.error();
  auto report = clear(Family::v6, *found, undo);
  if (!report) return report;
  const auto source = remove_loopback_source();
  if (!source) return source.error();
  if (*source) *report += "IPv6: address ::6 removed from lo\n";
  return report;
}

const std::string native_removed = "nftables: removed\n";
constexpr std::string_view v6_off = "IPv6: off in this network namespace, no rules\n";
constexpr std::string_view v6_not_needed = "IPv6: no rules, and no address here that needs them";

// Both families, before either is touched.
Result<void> refuse_drift(const FamilyState& v4, const Result<FamilyState>& v6,
                          const BothPlans& plans, std::optional<Backend> forced) {
  if (const auto what = drift(v4, plans.v4, forced))
    return drifted(std::string(name_of(Family::v4)), *what);
  if (!v6) return {};
  if (const auto what = drift(*v6, plans.v6, forced))
    return drifted(std::string(name_of(Family::v6)), *what);
  return {};
}

Result<void> refuse_native_tables() {
  const auto there = has_native_tables();
  if (!there) return there.error();
  if (*there) return drifted("nftables", "there are redirect rules in tables of its own");
  return {};
}

// Those of another choice, which would act too: they go when iptables' are there.
Result<void> leave_nftables(Applied& applied, Undo& undo) {
  const auto removed = remove_native(undo);
  if (!removed) return removed.error();
  if (!*removed) return {};
  applied.changed = true;
  applied.report += native_removed;
  return {};
}

Result<Applied> apply_families(const BothPlans& plans, std::optional<Backend> forced,
                               OnDrift on_drift, Undo& undo) {
  const auto found_v4 = look(Family::v4);
  if (!found_v4) return failed(Family::v4, found_v4.error(), "");
  const Ipv6 ipv6 = ipv6_state();
  const Result<FamilyState> found_v6 =
      ipv6 == Ipv6::off ? Result<FamilyState>(FamilyState{}) : look(Family::v6);
  if (on_drift == OnDrift::refuse) {
    if (const auto kept = refuse_native_tables(); !kept) return kept.error();
    const auto kept = refuse_drift(*found_v4, found_v6, plans, forced);
    if (!kept) return kept.error();
  }
  const auto v4 = install(*found_v4, plans.v4, forced, undo);
  if (!v4) return failed(Family::v4, v4.error(), undo.roll_back());
  Applied out{.backend_v4 = v4->backend, .changed = v4->changed, .report = v4->report};
  if (ipv6 == Ipv6::off) {
    out.report += v6_off;
    return out;
  }
  const std::size_t keep = undo.steps();
  const auto v6 = found_v6 ? install_v6(*found_v6, plans.v6, forced, undo)
                           : Result<Installed>(found_v6.error());
  if (!v6) {
    const std::string trouble = undo.roll_back(keep);
    // Rules from an earlier run that can't be changed now would act with the old options.
    if (!trouble.empty() || !may_be_without_v6(ipv6, found_v6))
      return failed(Family::v6, v6.error(), trouble + undo.roll_back());
    out.report += std::string(v6_not_needed) + " (" + v6.error().context + ")\n";
    return out;
  }
  out.backend_v6 = v6->backend;
  out.changed = out.changed || v6->changed;
  out.report += v6->report;
  return out;
}

Result<Applied> apply_both(const BothPlans& plans, std::optional<Backend> forced,
                           OnDrift on_drift) {
  Undo undo;
  auto applied = apply_families(plans, forced, on_drift, undo);
  if (!applied) return applied;
  if (const auto left = leave_nftables(*applied, undo); !left)
    return while_doing("nftables", Error{.context = left.error().context + undo.roll_back()});
  return applied;
}

Result<std::string> remove_both() {
  Undo undo;
  const auto native = remove_native(undo);
  if (!native) return native.error();
  const auto found = *native ? look_beside(Family::v4) : look(Family::v4);
  if (!found) return failed(Family::v4, found.error(), undo.roll_back());
  const auto v4 = clear(Family::v4, *found, undo);
  if (!v4) return failed(Family::v4, v4.error(), undo.roll_back());
  std::string report = *native ? native_removed + *v4 : *v4;
  if (const Ipv6 ipv6 = ipv6_state(); ipv6 != Ipv6::off) {
    const auto v6 = clear_v6(*native, undo);
    if (v6) report += *v6;
    // Where apply() could do without IPv6, so can this.
    if (!v6 && !may_be_without_v6(ipv6, look(Family::v6)))
      return failed(Family::v6, v6.error(), undo.roll_back());
  }
  return report;
}

}  // namespace

Result<Applied> apply(const Options& options, OnDrift on_drift) {
  const auto plans = plans_of(options);
  if (!plans) return plans.error();
  if (const auto allowed = require_net_admin(); !allowed) return allowed.error();
  const auto lock = NamespaceLock::take();
  if (!lock) return lock.error();
  auto applied = options.native ? apply_native(options, on_drift)
                                : apply_both(*plans, options.backend, on_drift);
  if (applied && applied->changed) applied->report += forget_dns_flows(options.dns.has_value());
  return applied;
}

Result<std::string> remove() {
  if (const auto allowed = require_net_admin(); !allowed) return allowed.error();
  const auto lock = NamespaceLock::take();
  if (!lock) return lock.error();
  auto removed = remove_both();
  if (removed && removed->empty())
    *removed = "there was nothing to remove\n";
  else if (removed)
    *removed += forget_dns_flows(false);
  return removed;
}

Result<std::string> verify(const Options& options) {
  const auto plans = plans_of(options);
  if (!plans) return plans.error();
  if (const auto allowed = require_net_admin(); !allowed) return allowed.error();
  if (options.native) return verify_native(options);
  if (const auto only = refuse_native_tables(); !only) return only.error();
  const auto check = [&](const FamilyState& found,
                         const FamilyPlan& wanted) -> Result<std::string> {
    if (auto what = difference(found, wanted, options.backend))
      return failed(wanted.family, {.context = std::move(*what)}, "");
    for (const auto& entry : found.survey.usable) {
      if (entry.ruleset.has_ours())
        return label(entry.tool) + ": " + std::to_string(wanted.rules.rule_count()) +
               " rules in place\n";
    }
    return std::string();
  };
  const auto found_v4 = look(Family::v4);
  if (!found_v4) return failed(Family::v4, found_v4.error(), "");
  auto v4 = check(*found_v4, plans->v4);
  if (!v4) return v4;
  const Ipv6 ipv6 = ipv6_state();
  if (ipv6 == Ipv6::off) return *v4 + std::string(v6_off);
  const auto found_v6 = look(Family::v6);
  if (may_be_without_v6(ipv6, found_v6)) return *v4 + std::string(v6_not_needed) + "\n";
  if (!found_v6) return failed(Family::v6, found_v6.error(), "");
  auto v6 = check(*found_v6, plans->v6);
  if (!v6) return v6;
  return *v4 + *v6;
}

}  // namespace sallyport::rules
