#include "iptables/plan_writer.h"

#include <algorithm>

#include "iptables/ruleset.h"

namespace sallyport::rules {
namespace {

// iptables-restore takes 255 words a line, and a group needs five of them.
constexpr std::size_t groups_of_one_rule = 48;

}  // namespace

std::string TableWriter::text(std::string_view table) const {
  if (rules_.empty()) return {};
  std::string out = "*" + std::string(table) + "\n";
  for (const auto& chain : chains_) out += ":" + chain + " - [0:0]\n";
  return out + rules_ + "COMMIT\n";
}

std::string port_match(std::string_view protocol, uint16_t port) {
  const std::string name(protocol);
  return "-p " + name + " -m " + name + " --dport " + std::to_string(port);
}

std::string marked(std::string_view specification, std::string_view verdict) {
  return std::string(specification) + " -m comment --comment " + std::string(rule_comment) + " " +
         std::string(verdict);
}

bool PlanInput::captures_loopback() const {
  const auto& cidrs = checked.outbound_cidrs;
  return std::any_of(cidrs.begin(), cidrs.end(),
                     [](const Cidr& cidr) { return cidr.network().is_loopback(); });
}

std::string destination(const Cidr& cidr) {
  return cidr.prefix() == 0 ? "" : "-d " + cidr.text() + " ";
}

std::string_view write_owner_groups(const PlanInput& in, TableWriter& to, std::string_view chain,
                                    std::string_view groups_chain) {
  for (const uint32_t gid : in.options().exclude_owner_groups)
    to.rule(chain, "-m owner --gid-owner " + std::to_string(gid) + " -j RETURN");
  const auto& groups = in.options().owner_groups;
  if (groups.empty()) return chain;
  if (groups.size() <= groups_of_one_rule) {
    std::string none_of;
    for (const uint32_t gid : groups)
      none_of += "-m owner ! --gid-owner " + std::to_string(gid) + " ";
    to.rule(chain, none_of + "-j RETURN");
    return chain;
  }
  to.chain(groups_chain);
  for (const uint32_t gid : groups)
    to.rule(chain,
            "-m owner --gid-owner " + std::to_string(gid) + " -g " + std::string(groups_chain));
  return groups_chain;
}

}  // namespace sallyport::rules
