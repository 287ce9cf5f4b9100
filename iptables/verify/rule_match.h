// One rule as iptables-save prints it, and whether a packet meets its matches. Pure.
#pragma once
#include "iptables/verify/rule_walk.h"

namespace sallyport::rules {

enum class Met : uint8_t { no, perhaps, yes };  // perhaps: a match is not known here

struct ParsedRule {
  std::string text;                    // what follows "-A CHAIN "
  std::vector<std::string> matches;    // words, up to "-j" or "-g"
  std::string target;                  // "DROP", a chain; empty: none
  bool is_goto = false;                // -g
  std::vector<std::string> arguments;  // of the target
};

ParsedRule parse_rule(std::string_view specification);

// `in`, `out`: the interface at this hook; empty: not known.
struct AtHook {
  const WalkedPacket& packet;
  IpAddress destination;
  uint16_t port;
  std::string in, out;
  bool has_in, has_out;  // whether the hook has one
};

Met meets(const ParsedRule& rule, const AtHook& at);

}  // namespace sallyport::rules
