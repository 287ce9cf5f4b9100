// From one state of our rules to another, by one block of iptables-restore a table.
#include <algorithm>

#include "iptables/ruleset.h"

namespace sallyport::rules {
namespace {

bool same(const std::string& one, const std::string& other) { return same_rule(one, other); }
bool same(const Jump& one, const Jump& other) {
  return same_rule(one.specification, other.specification);
}

template <class Rule>
bool same(const std::vector<Rule>& one, const std::vector<Rule>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const Rule& a, const Rule& b) { return same(a, b); });
}

const std::string& text_of(const std::string& rule) { return rule; }
const std::string& text_of(const Jump& jump) { return jump.specification; }

template <class Value>
const Value& at_or_empty(const std::map<std::string, Value>& map, const std::string& key) {
  static const Value empty{};
  const auto found = map.find(key);
  return found == map.end() ? empty : found->second;
}

template <class Value>
std::vector<std::string> keys_of_both(const std::map<std::string, Value>& one,
                                      const std::map<std::string, Value>& other) {
  std::map<std::string, int> keys;
  for (const auto& [key, value] : one) keys.emplace(key, 0);
  for (const auto& [key, value] : other) keys.emplace(key, 0);
  std::vector<std::string> out;
  for (const auto& [key, unused] : keys) out.push_back(key);
  return out;
}

// Writes the block of one table in the order that iptables-restore needs: a chain must be there
// before a jump to it, and nothing may jump to one that goes.
class TableChange {
public:
  TableChange(const Table& from, const Table& to) : from_(from), to_(to) {}
  std::string write(const std::string& table) {
    for (const auto& chain : keys_of_both(from_.chains, to_.chains)) change_chain(chain);
    for (const auto& chain : keys_of_both(from_.jumps, to_.jumps)) change_jumps(chain);
    if (declared_.empty() && removed_.empty() && added_.empty()) return {};
    return "*" + table + "\n" + declared_ + removed_ + added_ + deleted_ + "COMMIT\n";
  }

private:
  void change_chain(const std::string& chain) {
    const bool wanted = to_.chains.contains(chain);
    const auto& rules = at_or_empty(to_.chains, chain);
    if (wanted && from_.chains.contains(chain) && same(from_.chains.at(chain), rules)) return;
    declared_ += ":" + chain + " - [0:0]\n";  // Makes it, or empties it.
    for (const auto& rule : rules) added_ += "-A " + chain + " " + rule + "\n";
    if (!wanted) deleted_ += "-X " + chain + "\n";
  }

  void change_jumps(const std::string& chain) {
    const auto& present = at_or_empty(from_.jumps, chain);
    const auto& wanted = at_or_empty(to_.jumps, chain);
    if (same(present, wanted)) return;
    for (const auto& jump : present) removed_ += "-D " + chain + " " + jump.specification + "\n";
    std::size_t rules = at_or_empty(from_.others, chain);
    for (const auto& jump : wanted) {
      rules++;
      const bool inserted = jump.position && *jump.position < rules;
      added_ += inserted ? "-I " + chain + " " + std::to_string(*jump.position) : "-A " + chain;
      added_ += " " + jump.specification + "\n";
    }
  }

  const Table& from_;
  const Table& to_;
  std::string declared_, removed_, added_, deleted_;
};

template <class Rule>
std::optional<std::string> first_difference(const std::vector<Rule>& found,
                                            const std::vector<Rule>& wanted) {
  for (std::size_t i = 0; i < std::max(found.size(), wanted.size()); i++) {
    if (i < found.size() && i < wanted.size() && same(found[i], wanted[i])) continue;
    const std::string rule = "rule " + std::to_string(i + 1);
    const bool lost = i == found.size() ||
                      (i + 1 < wanted.size() && i < found.size() && same(found[i], wanted[i + 1]));
    if (lost) return rule + " is missing: " + text_of(wanted[i]);
    const bool foreign =
        i == wanted.size() || (i + 1 < found.size() && same(found[i + 1], wanted[i]));
    if (foreign) return rule + " does not belong there: " + text_of(found[i]);
    return rule + " is \"" + text_of(found[i]) + "\", should be \"" + text_of(wanted[i]) + "\"";
  }
  return {};
}

std::optional<std::string> table_difference(const Table& found, const Table& wanted) {
  for (const auto& chain : keys_of_both(found.chains, wanted.chains)) {
    if (!found.chains.contains(chain)) return chain + ": the chain is missing";
    if (!wanted.chains.contains(chain)) return chain + ": the chain does not belong there";
    const auto rule = first_difference(found.chains.at(chain), wanted.chains.at(chain));
    if (rule) return chain + ": " + *rule;
  }
  for (const auto& chain : keys_of_both(found.jumps, wanted.jumps)) {
    const auto rule =
        first_difference(at_or_empty(found.jumps, chain), at_or_empty(wanted.jumps, chain));
    if (rule) return chain + ", of our rules there: " + *rule;
  }
  return {};
}

}  // namespace

std::string transition(const Ruleset& from, const Ruleset& to) {
  std::string first, nat, last;
  for (const auto& name : keys_of_both(from.tables, to.tables)) {
    const Table& before = at_or_empty(from.tables, name);
    const Table& after = at_or_empty(to.tables, name);
    const bool grows =
        before.chains.size() + before.rule_count() <= after.chains.size() + after.rule_count();
    (name == "nat" ? nat : grows ? first : last) += TableChange(before, after).write(name);
  }
  return first + nat + last;
}

Ruleset without_missing_tables(const Ruleset& wanted, const Ruleset& found) {
  Ruleset out = wanted;
  std::erase_if(out.tables, [&](const auto& entry) {
    return !at_or_empty(found.tables, entry.first).has_ours();
  });
  return out;
}

std::optional<std::string> difference(const Ruleset& found, const Ruleset& wanted) {
  for (const auto& name : keys_of_both(found.tables, wanted.tables)) {
    const auto table =
        table_difference(at_or_empty(found.tables, name), at_or_empty(wanted.tables, name));
    if (table) return name + " " + *table;
  }
  return {};
}

}  // namespace sallyport::rules
