#include "iptables/native.h"

#include "iptables/loopback_source.h"
#include "iptables/nft_program.h"

namespace sallyport::rules {
namespace {

struct NativePlans {
  NativeRules rules;
  std::optional<NativeRules> without_hold;  // as good, where the kernel can't hold SYNs
  PolicyRoutes routes;
  bool v6 = false;
};

Result<NativePlans> native_plans_of(const Options& options) {
  NativePlans out;
  out.v6 = ipv6_state() != Ipv6::off;
  out.routes = planned_routes(options);
  const auto made = plan(options);
  if (!made) return made.error();
  auto rules = native_plan(*made, out.v6);
  if (!rules) return rules.error();
  out.rules = std::move(*rules);
  if (!options.hold_until) return out;
  Options unheld = options;
  unheld.hold_until.reset();
  const auto less = plan(unheld);
  if (!less) return less.error();
  auto without = native_plan(*less, out.v6);
  if (!without) return without.error();
  out.without_hold = std::move(*without);
  return out;
}

struct Beside {
  FamilyState v4, v6;
};

Result<Beside> look_beside_both(bool v6) {
  auto four = look_beside(Family::v4);
  if (!four) return failed(Family::v4, four.error(), "");
  if (!v6) return Beside{std::move(*four), {}};
  auto six = look_beside(Family::v6);
  if (!six) return failed(Family::v6, six.error(), "");
  return Beside{std::move(*four), std::move(*six)};
}

bool holds_rules(const FamilyState& state) {
  for (const auto& entry : state.survey.usable) {
    if (entry.ruleset.has_ours()) return true;
  }
  return false;
}

Result<void> compare_routes(const Beside& beside, const NativePlans& plans) {
  if (auto what = difference(beside.v4.routes, plans.routes))
    return failed(Family::v4, {.context = std::move(*what)}, "");
  if (!plans.v6) return {};
  if (auto what = difference(beside.v6.routes, plans.routes))
    return failed(Family::v6, {.context = std::move(*what)}, "");
  return {};
}

// How what is there differs from the plan, as nft lists both. nullopt: it does not.
struct Compared {
  NativeRules found;
  std::optional<std::string> difference;
  std::optional<Error> unheld;  // why the plan without held connections was compared
};

Result<Compared> compare(const NativePlans& plans) {
  auto found = read_native();
  if (!found) return found.error();
  Compared out{std::move(*found), {}, {}};
  if (out.found.empty()) {
    out.difference = "there are no redirect rules";
    return out;
  }
  auto listed = as_listed(plans.rules);
  if (!listed && plans.without_hold) {
    out.unheld = listed.error();
    listed = as_listed(*plans.without_hold);
  }
  if (!listed) return listed.error();
  out.difference = difference(out.found, *listed);
  return out;
}

struct Looked {
  NativePlans plans;
  Beside beside;
  Compared compared;
};

Result<Looked> look_at(const Options& options) {
  auto plans = native_plans_of(options);
  if (!plans) return plans.error();
  auto beside = look_beside_both(plans->v6);
  if (!beside) return beside.error();
  auto compared = compare(*plans);
  if (!compared) return compared.error();
  return Looked{std::move(*plans), std::move(*beside), std::move(*compared)};
}

Result<void> refuse_native_drift(const Beside& beside, const Compared& compared) {
  if (holds_rules(beside.v4) || holds_rules(beside.v6))
    return drifted("nftables", "there are redirect rules in iptables");
  if (!compared.found.empty() && compared.difference)
    return drifted("nftables", *compared.difference);
  return {};
}

// `unheld`: why this kernel can't hold connections, told if it turns out now.
Result<void> load_plan(const NativePlans& plans, std::optional<Error>& unheld) {
  if (!unheld) {
    const auto loaded = load_native(native_replacement(plans.rules));
    if (loaded) return {};
    if (!plans.without_hold) return loaded.error();
    unheld = loaded.error();
  }
  return load_native(native_replacement(*plans.without_hold));
}

Result<void> replace(const NativePlans& plans, const Compared& compared, Installed& installed,
                     Undo& undo) {
  auto unheld = compared.unheld;
  if (compared.difference) {
    const auto saved = saved_native();
    if (!saved) return saved.error();
    undo.remember_native(*saved);
    installed.changed = true;
    if (const auto loaded = load_plan(plans, unheld); !loaded) return loaded.error();
  }
  installed.report =
      "nftables: " + std::to_string(rule_count(unheld ? *plans.without_hold : plans.rules)) +
      " rules, " + (compared.difference ? "set" : "unchanged") + "\n";
  if (unheld)
    installed.report +=
        "connections are refused, not held, until the sidecar listens (" + unheld->context + ")\n";
  return {};
}

Result<void> remove_from_iptables(const FamilyState& state, Installed& installed, Undo& undo) {
  for (const auto& entry : state.survey.usable) {
    const auto removed = move_to(entry, {}, undo);
    if (!removed) return failed(entry.tool.family, removed.error(), "");
    if (!*removed) continue;
    installed.changed = true;
    installed.report += label(entry.tool) + ": removed\n";
  }
  return {};
}

Result<void> bring_routes(Family family, const PolicyRoutes& from, const PolicyRoutes& to,
                          Installed& installed, Undo& undo) {
  const auto moved = move_routes(family, from, to, undo);
  if (!moved) return failed(family, moved.error(), "");
  if (!*moved) return {};
  installed.changed = true;
  installed.report += std::string(name_of(family)) + ": routes of the mark set\n";
  return {};
}

// Routes come before the rules that send by them, and go behind them.
Result<Installed> install_native(const NativePlans& plans, const Beside& beside,
                                 const Compared& compared, Undo& undo) {
  Installed out, routes;
  const auto each = [&](auto&& step) -> Result<void> {
    if (const auto done = step(Family::v4, beside.v4); !done) return done.error();
    return plans.v6 ? step(Family::v6, beside.v6) : Result<void>();
  };
  const auto come = each([&](Family family, const FamilyState& state) {
    return bring_routes(family, state.routes, joined(state.routes, plans.routes), routes, undo);
  });
  if (!come) return come.error();
  if (const auto done = replace(plans, compared, out, undo); !done) return done.error();
  const auto rest = each([&](Family family, const FamilyState& state) -> Result<void> {
    if (const auto done = remove_from_iptables(state, out, undo); !done) return done.error();
    return bring_routes(family, joined(state.routes, plans.routes), plans.routes, routes, undo);
  });
  if (!rest) return rest.error();
  if (plans.v6) {
    if (const auto added = add_v6_source(out, undo); !added) return added.error();
  }
  out.changed = out.changed || routes.changed;
  out.report += routes.report;
  return out;
}

}  // namespace

Result<std::string> plan_text(const Options& options) {
  const auto made = plan(options);
  if (!made) return made.error();
  if (!options.native) return "# IPv4\n" + made->restore_v4 + "# IPv6\n" + made->restore_v6;
  const auto plans = native_plans_of(options);
  if (!plans) return plans.error();
  return native_replacement(plans->rules);
}

Result<Applied> apply_native(const Options& options, OnDrift on_drift) {
  const auto looked = look_at(options);
  if (!looked) return looked.error();
  const auto& [plans, beside, compared] = *looked;
  if (on_drift == OnDrift::refuse) {
    const auto kept = refuse_native_drift(beside, compared);
    if (!kept) return kept.error();
  }
  Undo undo;
  auto installed = install_native(plans, beside, compared, undo);
  if (!installed) {
    Error error = installed.error();
    error.context += undo.roll_back();
    return error;
  }
  return Applied{.changed = installed->changed, .report = std::move(installed->report)};
}

Result<bool> remove_native(Undo& undo) {
  const auto there = has_native_tables();
  if (!there) return there.error();
  if (!*there) return false;
  const auto saved = saved_native();
  if (!saved) return saved.error();
  undo.remember_native(*saved);
  if (const auto removed = load_native(native_replacement({})); !removed) return removed.error();
  return true;
}

Result<std::string> verify_native(const Options& options) {
  const auto looked = look_at(options);
  if (!looked) return looked.error();
  const auto& [plans, beside, compared] = *looked;
  const auto refused = [](const std::string& what) {
    return Error{.context = "nftables: " + what};
  };
  if (compared.difference) return refused(*compared.difference);
  if (holds_rules(beside.v4) || holds_rules(beside.v6))
    return refused("there are redirect rules in iptables, too");
  if (const auto same = compare_routes(beside, plans); !same) return same.error();
  if (plans.v6 && !has_loopback_source()) return refused("the address ::6 is missing on lo");
  return "nftables: " + std::to_string(rule_count(plans.rules)) + " rules in place\n";
}

}  // namespace sallyport::rules
