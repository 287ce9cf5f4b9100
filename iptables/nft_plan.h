// The same rules without iptables (--native-nftables): tables of our own in nftables' family inet,
// named as Istio's (istio-nftables), and what nft prints of them. Pure.
//
// A plan's rules are those of the iptables plans of both families: what both have stands once, what
// one has is for its family.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "iptables/rules.h"

namespace sallyport::rules {

// By chain; what stands in it, in order.
using NativeTable = std::map<std::string, std::vector<std::string>>;
using NativeRules = std::map<std::string, NativeTable>;  // by table: "istio-proxy-nat"

std::size_t rule_count(const NativeRules& rules);

inline constexpr std::string_view native_tables[] = {"istio-proxy-nat", "istio-proxy-mangle",
                                                     "istio-proxy-raw", "istio-proxy-filter"};

// `v6`: whether the kernel has IPv6. Errors, Fault::internal: a rule that nft has no words for.
Result<NativeRules> native_plan(const Plan& plan, bool v6);

// Input for `nft -f -`, one transaction: whatever is in our tables goes, drafts that a run which
// was ended left behind, too; `rules` come.
std::string native_replacement(const NativeRules& rules);

// The same rules in tables of other names that no packet passes: to be listed as this nft prints
// them, and to be removed.
std::string native_draft(const NativeRules& rules);
std::string draft_removal(const NativeRules& rules);
std::string draft_name(std::string_view table);

// Reads the chains of one `nft -s list table`; a chain's hook is its first line.
NativeTable parse_native_table(std::string_view listing);

// The first difference as a sentence ("istio-proxy-nat istio-output: rule 3 is missing: ..."), none
// when they are equal. Both as parse_native_table() has them.
std::optional<std::string> difference(const NativeRules& found, const NativeRules& wanted);

}  // namespace sallyport::rules
