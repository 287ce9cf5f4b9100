// The iptables programs of this machine: which there are, what they hold, and which is to hold our
// rules.
//
// Looking must not change what is looked at: asking iptables-legacy for a table creates it, after
// which the next look takes legacy for being in use (istio#61020). So legacy is asked only about
// tables which the kernel says it has.
#pragma once
#include <string>
#include <vector>

#include "iptables/rules.h"
#include "iptables/ruleset.h"

namespace sallyport::rules {

// One family's pair of programs.
struct Tool {
  Family family = Family::v4;
  Backend backend = Backend::nft;
  std::string save, restore;  // full paths
};

struct Surveyed {
  Tool tool;
  Ruleset ruleset;
};

struct Survey {
  std::vector<Surveyed> usable;  // at most one a backend
  std::string problems;          // why others can't be used, for the user; may be empty
};

std::string_view name_of(Family family);    // "IPv4", "IPv6"
std::string_view name_of(Backend backend);  // "legacy", "nft"

// Whether this process holds CAP_NET_ADMIN; the error carries a hint.
Result<void> require_net_admin();

// Whether there is an iptables of any kind.
bool has_iptables(Family family);

// What the backends of a family hold. Errors: no program at all, or one that works but can't be
// read.
Result<Survey> survey(Family family);
Result<Ruleset> read_rules(const Tool& tool);
// What iptables-save prints; nothing of a legacy family without tables.
Result<std::string> saved_rules(const Tool& tool);

// One iptables-restore run. The error carries what it printed, the line it failed at and, where
// known, a hint.
Result<void> restore(const Tool& tool, const std::string& input);

// Which entries of survey.usable to try, best first: that which holds our rules; else the forced
// one; else legacy when it holds somebody's; else nft, then legacy. Errors: the forced one is not
// there.
Result<std::vector<const Surveyed*>> candidates(const Survey& survey, Family family,
                                                std::optional<Backend> forced);

// What IPv6 is in this network namespace.
enum class Ipv6 : uint8_t {
  off,       // not in the kernel, or switched off: ip6tables must not be touched
  possible,  // loopback and link-local addresses at most
  needed,    // an address that packets from elsewhere can reach
};
Ipv6 ipv6_state();

}  // namespace sallyport::rules
