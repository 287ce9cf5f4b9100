// The redirect rules that one iptables-save text holds, how they differ from others, and the
// iptables-restore input that turns the one state into the other. Pure.
#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::rules {

inline constexpr std::string_view rule_comment = "sallyport";

// One of ours in a chain that is not ours, such as the jump from PREROUTING.
struct Jump {
  std::string specification;              // what follows "-A CHAIN "
  std::optional<std::size_t> position{};  // from 1, among all rules of the chain; unset: at its end
};

struct Table {
  std::map<std::string, std::vector<std::string>>
      chains;  // ours, each with its rules' specifications in order
  std::map<std::string, std::vector<Jump>> jumps;  // by the chain they stand in
  std::map<std::string, std::size_t> others;       // number of other people's rules, by chain
  bool has_ours() const { return !chains.empty() || !jumps.empty(); }
  std::size_t rule_count() const;  // of ours
};

struct Ruleset {
  std::map<std::string, Table> tables;  // "nat", "mangle", ...
  bool has_others = false;              // Somebody else's rules or chains, in any table.
  bool has_ours() const;
  std::size_t rule_count() const;  // of ours
};

// Words of a rule; a quoted one may hold blanks, and a backslash in it takes the next character as
// it is.
std::vector<std::string> split_words(std::string_view text);

// Reads what iptables-save prints.
Ruleset parse_ruleset(std::string_view save);

// Reads a plan: its jumps go behind other people's rules.
Ruleset planned(std::string_view restore);

// Whether two specifications say the same, however iptables' versions print them.
bool same_rule(const std::string& one, const std::string& other);

// The input for `iptables-restore --noflush` that makes `from`'s rules those of `to`: a block a
// table, each committed as a whole; chains that are right already are not touched. Empty when
// nothing differs. Tables that get rules come before nat, those that lose some behind it, so that
// nothing is captured by half of the rules, and nothing that was captured is let through meanwhile.
std::string transition(const Ruleset& from, const Ruleset& to);

// `wanted` without the tables of which `found` has nothing of ours yet: what a run that was ended
// in the middle left, or one that never was, has no difference to the rest.
Ruleset without_missing_tables(const Ruleset& wanted, const Ruleset& found);

// The first difference as a sentence ("nat ISTIO_OUTPUT: rule 3 is missing: -o lo ..."), none when
// they are equal.
std::optional<std::string> difference(const Ruleset& found, const Ruleset& wanted);

}  // namespace sallyport::rules
