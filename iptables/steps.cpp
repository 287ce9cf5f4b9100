#include "iptables/steps.h"

#include "iptables/loopback_source.h"

namespace sallyport::rules {

Error failed(Family family, Error error, const std::string& trouble) {
  error.context += trouble;
  return while_doing(name_of(family), std::move(error));
}

Error drifted(const std::string& where, const std::string& what) {
  return Error{.fault = Fault::denied,
               .context = where + ": " + what +
                          ". The rules that are there are not those of these flags, and stay as "
                          "they are; --reconcile makes them so"};
}

Result<bool> move_to(const Surveyed& entry, const Ruleset& wanted, Undo& undo) {
  const std::string input = transition(entry.ruleset, wanted);
  if (input.empty()) return false;
  undo.remember(entry.tool, entry.ruleset);
  if (const auto restored = restore(entry.tool, input); !restored) return restored.error();
  return true;
}

Result<bool> move_routes(Family family, const PolicyRoutes& from, const PolicyRoutes& to,
                         Undo& undo) {
  if (from == to) return false;
  undo.remember(family, from);
  if (const auto changed = change_policy_routes(family, from, to); !changed) return changed.error();
  return true;
}

Result<void> add_v6_source(Installed& installed, Undo& undo) {
  const auto added = add_loopback_source();
  if (!added) return added.error();
  if (!*added) return {};
  undo.remember_added_source();
  installed.changed = true;
  installed.report += "IPv6: address ::6 added to lo\n";
  return {};
}

}  // namespace sallyport::rules
