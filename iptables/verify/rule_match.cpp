#include "iptables/verify/rule_match.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>

#include "iptables/ruleset.h"

namespace sallyport::rules {
namespace {

using Words = std::vector<std::string>;

std::optional<uint32_t> number_in(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  uint32_t value = 0;
  const auto [end, failed] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (failed != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

Met met(bool is) { return is ? Met::yes : Met::no; }

// "80", "80:90", "80,443,8000:8080"; ids have '-' in their ranges.
Met in_list(std::string_view list, uint32_t value, char range) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const auto item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const auto between = item.find(range);
    const auto low = number_in(item.substr(0, between));
    const auto high = between == item.npos ? low : number_in(item.substr(between + 1));
    if (!low || !high) return Met::perhaps;
    if (*low <= value && value <= *high) return Met::yes;
  }
  return Met::no;
}

Met protocol_is(const std::string& name, uint8_t protocol) {
  if (name == "tcp" || name == "udp") return met((name == "tcp") == (protocol == IPPROTO_TCP));
  if (name == "all") return Met::yes;
  return met(number_in(name) == protocol);
}

Met is_inside(const std::string& cidr, const std::optional<IpAddress>& ip) {
  const auto network = Cidr::parse(cidr);
  if (!network || !ip) return Met::perhaps;
  return met(network->contains(*ip));
}

Met device_is(const std::string& pattern, bool has, const std::string& name) {
  if (!has) return Met::no;
  if (name.empty()) return Met::perhaps;
  if (pattern.ends_with('+')) return met(name.starts_with(pattern.substr(0, pattern.size() - 1)));
  return met(pattern == name);
}

// No packet here has a mark: "--mark 0x1/0x1" is not met, "--mark 0x0/0x1" is.
Met mark_is(const std::string& value) {
  const auto number = number_in(std::string_view(value).substr(0, value.find('/')));
  return number ? met(*number == 0) : Met::perhaps;
}

Met state_is(const std::string& states) {
  return met(("," + states + ",").find(",NEW,") != std::string::npos);
}

// Of a SYN: "FIN,SYN,RST,ACK SYN".
Met flags_are(const std::string& wanted, const AtHook& at) {
  return met(at.packet.protocol == IPPROTO_TCP && wanted == "SYN");
}

Met owner_is(const std::string& id, uint32_t is, const AtHook& at) {
  if (!at.has_out || at.packet.direction == Direction::inbound) return Met::no;
  return in_list(id, is, '-');
}

// What one option with its value says. nullopt: it is no match of its own.
std::optional<Met> says(const std::string& option, const std::string& value, const AtHook& at) {
  const auto& packet = at.packet;
  if (option == "-m" || option == "--comment") return {};
  if (option == "-p") return protocol_is(value, packet.protocol);
  if (option == "-s") return is_inside(value, packet.source);
  if (option == "-d") return is_inside(value, at.destination);
  if (option == "-i") return device_is(value, at.has_in, at.in);
  if (option == "-o") return device_is(value, at.has_out, at.out);
  if (option == "--dport" || option == "--dports") return in_list(value, at.port, ':');
  if (option == "--uid-owner") return owner_is(value, packet.uid, at);
  if (option == "--gid-owner") return owner_is(value, packet.gid, at);
  if (option == "--mark") return mark_is(value);
  if (option == "--ctstate" || option == "--state") return state_is(value);
  if (option == "--ctdir") return met(value == "ORIGINAL");
  return Met::perhaps;
}

Met inverted(Met is) {
  if (is == Met::perhaps) return is;
  return is == Met::yes ? Met::no : Met::yes;
}

}  // namespace

ParsedRule parse_rule(std::string_view specification) {
  ParsedRule out{std::string(specification), {}, "", false, {}};
  auto words = split_words(specification);
  const auto target = std::find_if(words.begin(), words.end(), [](const std::string& word) {
    return word == "-j" || word == "-g";
  });
  out.matches.assign(words.begin(), target);
  if (target == words.end() || target + 1 == words.end()) return out;
  out.is_goto = *target == "-g";
  out.target = *(target + 1);
  out.arguments.assign(target + 2, words.end());
  return out;
}

Met meets(const ParsedRule& rule, const AtHook& at) {
  Met out = Met::yes;
  for (std::size_t i = 0; i < rule.matches.size(); i++) {
    const bool inverts = rule.matches[i] == "!";
    if (inverts) i++;
    if (i == rule.matches.size()) break;
    const std::string option = rule.matches[i];
    Words values;
    while (i + 1 < rule.matches.size() && rule.matches[i + 1] != "!" &&
           !rule.matches[i + 1].starts_with('-'))
      values.push_back(rule.matches[++i]);
    std::optional<Met> one = Met::perhaps;
    if (option == "--tcp-flags" && values.size() == 2) one = flags_are(values[1], at);
    if (values.size() == 1) one = says(option, values[0], at);
    if (!one) continue;
    out = std::min(out, inverts ? inverted(*one) : *one);
  }
  return out;
}

}  // namespace sallyport::rules
