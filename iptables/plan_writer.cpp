#include "iptables/plan_writer.h"

#include "iptables/ruleset.h"

namespace sallyport::rules {

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

}  // namespace sallyport::rules
