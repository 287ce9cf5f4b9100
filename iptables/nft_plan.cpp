#include "iptables/nft_plan.h"

#include <algorithm>

#include "iptables/nft_rule.h"
#include "iptables/ruleset.h"

namespace sallyport::rules {
namespace {

using Rules = std::vector<std::string>;

struct BaseChain {
  std::string_view table, chain, hook;
};
// Istio's priorities, which are iptables' own (-100 is dstnat for output, too).
constexpr BaseChain base_chains[] = {
    {"nat", "prerouting", "type nat hook prerouting priority -100 ;"},
    {"nat", "output", "type nat hook output priority -100 ;"},
    {"mangle", "prerouting", "type filter hook prerouting priority -150 ;"},
    {"mangle", "output", "type route hook output priority -150 ;"},
    {"raw", "prerouting", "type filter hook prerouting priority -300 ;"},
    {"raw", "output", "type filter hook output priority -300 ;"},
    {"filter", "input", "type filter hook input priority 0 ;"},
    {"filter", "output", "type filter hook output priority 0 ;"},
};

constexpr std::string_view table_prefix = "istio-proxy-";

std::string_view hook_of(std::string_view table, std::string_view chain) {
  for (const auto& base : base_chains) {
    if (table.substr(table_prefix.size()) == base.table && chain == base.chain) return base.hook;
  }
  return {};
}

// Chains of one family, translated.
Result<NativeTable> translated(const Table& table) {
  NativeTable out;
  const auto add = [&out](const std::string& chain, const std::string& rule) -> Result<void> {
    const auto text = nft_rule(rule);
    if (!text) return Error{.context = "--native-nftables: nft has no words for: " + rule};
    out[nft_chain(chain)].push_back(*text);
    return {};
  };
  for (const auto& [chain, rules] : table.chains) {
    out[nft_chain(chain)];
    for (const auto& rule : rules) {
      if (const auto added = add(chain, rule); !added) return added.error();
    }
  }
  for (const auto& [chain, jumps] : table.jumps) {
    for (const auto& jump : jumps) {
      if (const auto added = add(chain, jump.specification); !added) return added.error();
    }
  }
  return out;
}

bool names_family(const std::string& rule) {
  return (" " + rule).find(" ip ") != std::string::npos ||
         (" " + rule).find(" ip6 ") != std::string::npos;
}

std::string only_of(const char* family, const std::string& rule) {
  return names_family(rule) ? rule : "meta nfproto " + std::string(family) + " " + rule;
}

// The longest common subsequence's lengths, of what is behind each pair of places.
std::vector<std::vector<std::size_t>> common_lengths(const Rules& one, const Rules& other) {
  std::vector lengths(one.size() + 1, std::vector<std::size_t>(other.size() + 1));
  for (std::size_t i = one.size(); i-- > 0;) {
    for (std::size_t j = other.size(); j-- > 0;)
      lengths[i][j] = one[i] == other[j] ? lengths[i + 1][j + 1] + 1
                                         : std::max(lengths[i + 1][j], lengths[i][j + 1]);
  }
  return lengths;
}

// Each family's rules keep their order.
Rules merged_rules(const Rules& v4, const Rules& v6) {
  const auto lengths = common_lengths(v4, v6);
  Rules out;
  std::size_t i = 0, j = 0;
  while (i < v4.size() || j < v6.size()) {
    if (i < v4.size() && j < v6.size() && v4[i] == v6[j]) {
      out.push_back(v4[i++]);
      j++;
    } else if (j == v6.size() || (i < v4.size() && lengths[i + 1][j] >= lengths[i][j + 1])) {
      out.push_back(only_of("ipv4", v4[i++]));
    } else {
      out.push_back(only_of("ipv6", v6[j++]));
    }
  }
  return out;
}

NativeTable merged_tables(const NativeTable& v4, const NativeTable& v6) {
  NativeTable out = v4;
  for (const auto& [chain, rules] : v6) out[chain];
  for (auto& [chain, rules] : out) {
    const auto one = v4.find(chain), other = v6.find(chain);
    rules = merged_rules(one == v4.end() ? Rules() : one->second,
                         other == v6.end() ? Rules() : other->second);
  }
  return out;
}

void write_tables(std::string& to, const NativeRules& rules, bool draft) {
  for (const auto& [table, chains] : rules) {
    const std::string name = draft ? draft_name(table) : table;
    to += "add table inet " + name + (draft ? " { flags dormant ; }\n" : "\n");
    for (const auto& [chain, unused] : chains) {
      const auto hook = hook_of(table, chain);
      to += "add chain inet " + name + " " + chain +
            (hook.empty() ? "\n" : " { " + std::string(hook) + " }\n");
    }
    for (const auto& [chain, lines] : chains) {
      for (const auto& rule : lines)
        to += "add rule inet " + name + " " + chain + " " + rule + "\n";
    }
  }
}

// To delete what is not there would be an error.
std::string removal_of(const std::string& table) {
  return "add table inet " + table + "\ndelete table inet " + table + "\n";
}

// Until when SYNs are held was told by the clock of the run that set it.
std::string without_time(const std::string& rule) {
  const auto at = rule.find("meta time < ");
  if (at == std::string::npos) return rule;
  const auto end = rule.find(" counter", at);
  return rule.substr(0, at) + (end == std::string::npos ? "" : rule.substr(end + 1));
}

std::optional<std::string> chain_difference(const std::string& where, const Rules& found,
                                            const Rules& wanted) {
  for (std::size_t i = 0; i < std::max(found.size(), wanted.size()); i++) {
    const bool same =
        i < found.size() && i < wanted.size() && without_time(found[i]) == without_time(wanted[i]);
    if (same) continue;
    const std::string rule = where + ": line " + std::to_string(i + 1);
    if (i >= found.size()) return rule + " is missing: " + wanted[i];
    if (i >= wanted.size()) return rule + " does not belong there: " + found[i];
    return rule + " is \"" + found[i] + "\" instead of \"" + wanted[i] + "\"";
  }
  return {};
}

}  // namespace

std::size_t rule_count(const NativeRules& rules) {
  std::size_t count = 0;
  for (const auto& [table, chains] : rules) {
    for (const auto& [chain, lines] : chains) count += lines.size();
  }
  return count;
}

Result<NativeRules> native_plan(const Plan& plan, bool v6) {
  const Ruleset four = planned(plan.restore_v4), six = planned(plan.restore_v6);
  NativeRules out;
  for (const auto& [name, table] : four.tables) {
    auto one = translated(table);
    if (!one) return one.error();
    out[std::string(table_prefix) + name] = std::move(*one);
  }
  if (!v6) return out;
  for (const auto& [name, table] : six.tables) {
    const auto other = translated(table);
    if (!other) return other.error();
    auto& into = out[std::string(table_prefix) + name];
    into = merged_tables(into, *other);
  }
  return out;
}

std::string native_replacement(const NativeRules& rules) {
  std::string out;
  for (const auto table : native_tables)
    out += removal_of(std::string(table)) + removal_of(draft_name(table));
  write_tables(out, rules, false);
  return out;
}

std::string draft_name(std::string_view table) { return std::string(table) + "-draft"; }

std::string native_draft(const NativeRules& rules) {
  std::string out = draft_removal(rules);
  write_tables(out, rules, true);
  return out;
}

std::string draft_removal(const NativeRules& rules) {
  std::string out;
  for (const auto& [table, chains] : rules) out += removal_of(draft_name(table));
  return out;
}

NativeTable parse_native_table(std::string_view listing) {
  NativeTable out;
  Rules* chain = nullptr;
  while (!listing.empty()) {
    auto line = listing.substr(0, listing.find('\n'));
    listing.remove_prefix(std::min(line.size() + 1, listing.size()));
    line.remove_prefix(std::min(line.find_first_not_of("\t "), line.size()));
    if (line.starts_with("chain ") && line.ends_with(" {")) {
      chain = &out[std::string(line.substr(6, line.size() - 8))];
    } else if (line == "}") {
      chain = nullptr;
    } else if (chain != nullptr && !line.empty()) {
      chain->emplace_back(line);
    }
  }
  return out;
}

std::optional<std::string> difference(const NativeRules& found, const NativeRules& wanted) {
  for (const auto& [table, chains] : wanted) {
    const auto there = found.find(table);
    if (there == found.end()) return "the table inet " + table + " is missing";
    for (const auto& [chain, rules] : chains) {
      const auto at = there->second.find(chain);
      const std::string where = table + " " + chain;
      if (at == there->second.end()) return where + ": the chain is missing";
      if (auto what = chain_difference(where, at->second, rules)) return what;
    }
    for (const auto& [chain, rules] : there->second) {
      if (!chains.contains(chain)) return table + " " + chain + ": the chain does not belong there";
    }
  }
  for (const auto& [table, chains] : found) {
    if (!wanted.contains(table)) return "the table inet " + table + " does not belong there";
  }
  return {};
}

}  // namespace sallyport::rules
