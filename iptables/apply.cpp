#include <algorithm>

#include "iptables/backend.h"
#include "iptables/loopback_source.h"

namespace sallyport::rules {
namespace {

// What was changed so far, and how it was before; gives it back when a later step fails.
class Undo {
public:
  void remember(const Tool& tool, const Ruleset& before) { steps_.push_back({tool, before}); }
  void remember_added_source() { source_added_ = true; }
  std::size_t steps() const { return steps_.size(); }

  // Takes back all but the first `keep` steps. Returns what could not be given back, as a sentence
  // to append.
  std::string roll_back(std::size_t keep = 0) {
    std::string trouble;
    for (; steps_.size() > keep; steps_.pop_back()) {
      const auto& [tool, before] = steps_.back();
      const auto now = read_rules(tool);
      if (!now) {
        trouble += "; " + now.error().context;
        continue;
      }
      const std::string input = transition(*now, before);
      if (input.empty()) continue;
      if (const auto restored = restore(tool, input); !restored)
        trouble += "; " + restored.error().context;
    }
    if (source_added_) {
      const auto removed = remove_loopback_source();
      if (!removed) trouble += "; " + removed.error().context;
    }
    source_added_ = false;
    if (trouble.empty()) return {};
    return ". The rules could not be given back as they were" + trouble;
  }

private:
  struct Step {
    Tool tool;
    Ruleset before;
  };
  std::vector<Step> steps_;
  bool source_added_ = false;
};

struct Installed {
  Backend backend = Backend::nft;
  bool changed = false;
  std::string report;
};

Error failed(Family family, Error error, const std::string& trouble) {
  error.context += trouble;
  return while_doing(name_of(family), std::move(error));
}

std::string label(const Tool& tool) {
  return std::string(name_of(tool.family)) + " (" + std::string(name_of(tool.backend)) + ")";
}

// Makes our rules in one backend those of `wanted`. True when they were others before.
Result<bool> move_to(const Surveyed& entry, const Ruleset& wanted, Undo& undo) {
  const std::string input = transition(entry.ruleset, wanted);
  if (input.empty()) return false;
  undo.remember(entry.tool, entry.ruleset);
  if (const auto restored = restore(entry.tool, input); !restored) return restored.error();
  return true;
}

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

Result<Installed> install(Family family, const Ruleset& wanted, std::optional<Backend> forced,
                          Undo& undo) {
  const auto found = survey(family);
  if (!found) return found.error();
  const auto tried = candidates(*found, family, forced);
  if (!tried) return tried.error();
  auto installed = fill(*tried, wanted, undo);
  if (!installed) return installed;
  // Rules of ours in the other backend, left by another tool or another choice, would act too.
  for (const auto& entry : found->usable) {
    if (entry.tool.backend == installed->backend || !entry.ruleset.has_ours()) continue;
    if (const auto removed = move_to(entry, {}, undo); !removed) return removed.error();
    installed->changed = true;
    installed->report += label(entry.tool) + ": removed\n";
  }
  return installed;
}

Result<Installed> install_v6(const Ruleset& wanted, std::optional<Backend> forced, Undo& undo) {
  auto installed = install(Family::v6, wanted, forced, undo);
  if (!installed) return installed;
  const auto added = add_loopback_source();
  if (!added) return added.error();
  if (*added) {
    undo.remember_added_source();
    installed->changed = true;
    installed->report += "IPv6: address ::6 added to lo\n";
  }
  return installed;
}

Result<std::string> clear(Family family, Undo& undo) {
  const auto found = survey(family);
  if (!found) return found.error();
  std::string report;
  for (const auto& entry : found->usable) {
    const auto removed = move_to(entry, {}, undo);
    if (!removed) return removed.error();
    if (*removed) report += label(entry.tool) + ": removed\n";
  }
  return report;
}

// Empty when the family's rules are as wanted, in one backend.
Result<std::string> check_family(Family family, const Ruleset& wanted,
                                 std::optional<Backend> forced) {
  const auto found = survey(family);
  if (!found) return found.error();
  std::vector<const Surveyed*> holding;
  for (const auto& entry : found->usable) {
    if (entry.ruleset.has_ours()) holding.push_back(&entry);
  }
  const auto differs = [](std::string text) {
    return Error{.fault = Fault::internal, .context = std::move(text)};
  };
  if (holding.empty()) return differs("there are no redirect rules");
  if (holding.size() > 1)
    return differs("there are redirect rules in both backends, legacy and nft");
  const auto& tool = holding.front()->tool;
  if (forced && tool.backend != *forced) {
    return differs("the rules are in the " + std::string(name_of(tool.backend)) + " backend");
  }
  if (auto text = difference(holding.front()->ruleset, wanted)) return differs(std::move(*text));
  return label(tool) + ": " + std::to_string(wanted.rule_count()) + " rules in place\n";
}

// Whether IPv6 is without any rule of ours, where it may be.
bool may_be_without_v6(Ipv6 state) {
  if (state != Ipv6::possible) return false;
  const auto found = survey(Family::v6);
  return !found || std::none_of(found->usable.begin(), found->usable.end(),
                                [](const Surveyed& entry) { return entry.ruleset.has_ours(); });
}

constexpr std::string_view v6_off = "IPv6: off in this network namespace, no rules\n";
constexpr std::string_view v6_not_needed = "IPv6: no rules, and no address here that needs them";

}  // namespace

Result<Applied> apply(const Options& options) {
  const auto made = plan(options);
  if (!made) return made.error();
  if (const auto allowed = require_net_admin(); !allowed) return allowed.error();
  Undo undo;
  const auto v4 = install(Family::v4, planned(made->restore_v4), options.backend, undo);
  if (!v4) return failed(Family::v4, v4.error(), undo.roll_back());
  Applied out{.backend_v4 = v4->backend, .changed = v4->changed, .report = v4->report};
  const Ipv6 state = ipv6_state();
  if (state == Ipv6::off) {
    out.report += v6_off;
    return out;
  }
  const std::size_t keep = undo.steps();
  const auto v6 = install_v6(planned(made->restore_v6), options.backend, undo);
  if (!v6) {
    const std::string trouble = undo.roll_back(keep);
    // Rules from an earlier run that can't be changed now would act with the old options.
    if (!trouble.empty() || !may_be_without_v6(state)) {
      return failed(Family::v6, v6.error(), trouble + undo.roll_back());
    }
    out.report += std::string(v6_not_needed) + " (" + v6.error().context + ")\n";
    return out;
  }
  out.backend_v6 = v6->backend;
  out.changed = out.changed || v6->changed;
  out.report += v6->report;
  return out;
}

Result<std::string> remove() {
  if (const auto allowed = require_net_admin(); !allowed) return allowed.error();
  Undo undo;
  const auto v4 = clear(Family::v4, undo);
  if (!v4) return failed(Family::v4, v4.error(), undo.roll_back());
  std::string report = *v4;
  if (const Ipv6 state = ipv6_state(); state != Ipv6::off) {
    const auto v6 = clear(Family::v6, undo);
    if (v6) report += *v6;
    // Where apply() could do without IPv6, so can this.
    if (!v6 && !may_be_without_v6(state)) {
      return failed(Family::v6, v6.error(), undo.roll_back());
    }
    const auto source = remove_loopback_source();
    if (!source) return failed(Family::v6, source.error(), undo.roll_back());
    if (*source) report += "IPv6: address ::6 removed from lo\n";
  }
  return report.empty() ? "there was nothing to remove\n" : report;
}

Result<std::string> verify(const Options& options) {
  const auto made = plan(options);
  if (!made) return made.error();
  if (const auto allowed = require_net_admin(); !allowed) return allowed.error();
  const auto v4 = check_family(Family::v4, planned(made->restore_v4), options.backend);
  if (!v4) return failed(Family::v4, v4.error(), "");
  const Ipv6 state = ipv6_state();
  if (state == Ipv6::off) return *v4 + std::string(v6_off);
  if (may_be_without_v6(state)) return *v4 + std::string(v6_not_needed) + "\n";
  const auto v6 = check_family(Family::v6, planned(made->restore_v6), options.backend);
  if (!v6) return failed(Family::v6, v6.error(), "");
  if (!has_loopback_source()) {
    return Error{.fault = Fault::internal, .context = "IPv6: the address ::6 is missing on lo"};
  }
  return *v4 + *v6;
}

}  // namespace sallyport::rules
