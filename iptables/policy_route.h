// TPROXY's routing: packets with the mark are taken for local ones, whatever their destination
// (`ip rule fwmark MARK lookup TABLE`, and in TABLE `local default dev lo`).
#pragma once
#include <vector>

#include "agent/core/error.h"
#include "iptables/rules.h"

namespace sallyport::rules {

struct PolicyRule {
  uint32_t mark = 0, table = 0;
  bool operator==(const PolicyRule&) const = default;
};

// Ours in one family: what carries our protocol number, and what Istio's installer makes by
// default (mark 1337, table 133), as often as it is there.
struct PolicyRoutes {
  std::vector<PolicyRule> rules;
  std::vector<uint32_t> tables;  // those with a local default route to lo
  bool operator==(const PolicyRoutes&) const = default;
};

// All of one, and what of the other is not among it.
PolicyRoutes joined(PolicyRoutes one, const PolicyRoutes& other);

// None for REDIRECT.
PolicyRoutes planned_routes(const Options& options);

Result<PolicyRoutes> read_policy_routes(Family family);

// Turns what read_policy_routes() told into `to`: what is missing first, then what is too much.
Result<void> change_policy_routes(Family family, const PolicyRoutes& from, const PolicyRoutes& to);

// The first difference as a sentence ("ip rule fwmark 0x539 lookup 133 is missing").
std::optional<std::string> difference(const PolicyRoutes& found, const PolicyRoutes& wanted);

}  // namespace sallyport::rules
