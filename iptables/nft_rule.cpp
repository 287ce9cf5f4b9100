#include "iptables/nft_rule.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <vector>

#include "agent/core/ascii.h"
#include "iptables/ruleset.h"
#include "iptables/udp_marks.h"

namespace sallyport::rules {
namespace {

using Words = std::vector<std::string>;

std::string lower_text(std::string_view text) { return ascii::lower_case(text); }

// "127.0.0.1/32" is of ip, "::1/128" of ip6.
std::string address_match(const std::string& address, const char* side, const std::string& no) {
  const bool v6 = address.find(':') != std::string::npos;
  return std::string(v6 ? "ip6 " : "ip ") + side + " " + no + address;
}

// "53,15008" → "{ 53, 15008 }"
std::string set_of(std::string list) {
  if (list.find(',') == std::string::npos) return list;
  for (std::size_t at = 0; (at = list.find(',', at)) != std::string::npos; at += 2)
    list.replace(at, 1, ", ");
  return "{ " + list + " }";
}

std::string hex_text(uint32_t value) {
  char text[16] = "0x";
  const auto end = std::to_chars(text + 2, text + sizeof text, value, 16).ptr;
  return {text, end};
}

// "eth+" is each whose name begins so.
std::string device_pattern(std::string name) {
  if (name.ends_with('+')) name.back() = '*';
  return "\"" + name + "\"";
}

// "0x10000/0x30000" of `what` ("ct mark", "meta mark").
std::string mark_match(const std::string& what, const std::string& value, const std::string& no) {
  const auto slash = value.find('/');
  if (slash == std::string::npos) return what + " " + no + value;
  return what + " & " + value.substr(slash + 1) + " " + (no.empty() ? "== " : no) +
         value.substr(0, slash);
}

// What `--datestop` says in UTC as seconds, which nft takes whatever the time zone.
std::string seconds_of(const std::string& utc) {
  std::tm parts{};
  strptime(utc.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  return std::to_string(timegm(&parts));
}

class RuleWords {
public:
  explicit RuleWords(const std::string& specification) : words_(split_words(specification)) {}
  std::optional<std::string> text();

private:
  bool match();
  bool match_other(const std::string& option);
  bool match_flags();
  bool target(bool goes);
  bool mark_target(const std::string& name);
  // The word behind `option`, which is passed over; "" when it is another.
  std::string argument(const char* option) {
    if (at_ + 1 >= words_.size() || words_[at_] != option) return {};
    at_ += 2;
    return words_[at_ - 1];
  }
  std::string next() { return at_ < words_.size() ? words_[at_++] : std::string(); }

  Words words_;
  std::size_t at_ = 0;
  std::string module_;  // of the last -m
  std::string no_;      // "!= " behind a "!"
  std::string interface_, protocol_, addresses_, ports_, states_, owners_, verdict_;
};

// "--tcp-flags FIN,SYN,RST,ACK SYN"
bool RuleWords::match_flags() {
  std::string mask = lower_text(next());
  std::replace(mask.begin(), mask.end(), ',', '|');
  states_ += "tcp flags & (" + mask + ") == " + lower_text(next()) + " ";
  return true;
}

bool RuleWords::match_other(const std::string& option) {
  if (option == "--nowildcard") {
    states_ += "socket transparent { 0, 1 } ";  // any socket
    return true;
  }
  if (option == "--tcp-flags") return match_flags();
  const std::string value = next();
  if (option == "--comment") return true;
  if (option == "--ctstate") {
    states_ += "ct state " + lower_text(value) + " ";
  } else if (option == "--ctdir") {
    states_ += "ct direction " + lower_text(value) + " ";
  } else if (option == "--mark") {
    states_ += mark_match(module_ == "connmark" ? "ct mark" : "meta mark", value, no_) + " ";
  } else if (option == "--datestop") {
    states_ += "meta time < " + seconds_of(value) + " ";
  } else if (option == "--uid-owner" || option == "--gid-owner") {
    owners_ += (option == "--uid-owner" ? "skuid " : "skgid ") + no_ + value + " ";
  } else {
    return false;
  }
  return true;
}

bool RuleWords::match() {
  const std::string option = next();
  if (option == "-m") {
    module_ = next();
  } else if (option == "-p") {
    protocol_ = next();
  } else if (option == "-i" || option == "-o") {
    interface_ += (option == "-i" ? "iifname " : "oifname ") + no_ + device_pattern(next()) + " ";
  } else if (option == "-s" || option == "-d") {
    addresses_ += address_match(next(), option == "-s" ? "saddr" : "daddr", no_) + " ";
  } else if (option == "--dport" || option == "--dports" || option == "--sport") {
    ports_ +=
        protocol_ + (option == "--sport" ? " sport " : " dport ") + no_ + set_of(next()) + " ";
  } else {
    return match_other(option);
  }
  return true;
}

// The agent's verdict is kept: only packets with "allowed" come to that rule, and the kernels that
// there are can't combine two marks.
bool RuleWords::mark_target(const std::string& name) {
  const bool whole = words_.back() == "0xffffffff";
  const std::string rest = hex_text(~udp_mark_mask);
  if (name == "MARK") {
    const std::string value = argument("--set-xmark");
    const std::string number = value.substr(0, value.find('/'));
    verdict_ = value.ends_with("/0xffffffff") ? "meta mark set " + number
                                              : "meta mark set meta mark & " + rest;
  } else if (next() == "--save-mark") {
    verdict_ = whole ? "ct mark set mark"
                     : "ct mark set ct mark & " + rest + " | " + hex_text(udp_allowed);
  } else {
    verdict_ = "meta mark set ct mark";
  }
  at_ = words_.size();
  return true;
}

bool RuleWords::target(bool goes) {
  const std::string name = next();
  if (name == "RETURN" || name == "ACCEPT" || name == "DROP") {
    verdict_ = lower_text(name);
  } else if (name == "REDIRECT") {
    verdict_ = "redirect to :" + argument("--to-ports");
  } else if (name == "CT") {
    verdict_ = "ct zone set " + argument("--zone");
  } else if (name == "REJECT") {
    const bool v6 = argument("--reject-with").starts_with("icmp6");
    verdict_ = std::string("reject with ") + (v6 ? "icmpv6" : "icmp") + " port-unreachable";
  } else if (name == "NFQUEUE") {
    verdict_ = "queue num " + argument("--queue-num");
    if (at_ < words_.size() && next() == "--queue-bypass") verdict_ += " bypass";
  } else if (name == "TPROXY") {
    const std::string port = argument("--on-port"), any = argument("--on-ip"),
                      mark = argument("--tproxy-mark");
    // Before the counter, as Istio has it.
    states_ += std::string("tproxy ") + (any == "::" ? "ip6" : "ip") + " to :" + port +
               " meta mark set " + mark.substr(0, mark.find('/')) + " ";
    verdict_ = "accept";
  } else if (name == "MARK" || name == "CONNMARK") {
    return mark_target(name);
  } else {
    verdict_ = (goes ? "goto " : "jump ") + nft_chain(name);
  }
  return at_ == words_.size();
}

std::optional<std::string> RuleWords::text() {
  while (at_ < words_.size()) {
    if (words_[at_] == "-j" || words_[at_] == "-g") {
      if (!target(words_[at_++] == "-g")) return {};
      continue;
    }
    no_ = words_[at_] == "!" ? "!= " : "";
    if (!no_.empty()) at_++;
    if (!match()) return {};
  }
  const std::string protocol = protocol_.empty() ? "" : "meta l4proto " + protocol_ + " ";
  return interface_ + protocol + addresses_ + ports_ + states_ + owners_ + "counter " + verdict_;
}

}  // namespace

std::string nft_chain(const std::string& chain) {
  std::string out = ascii::lower_case(chain);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

std::optional<std::string> nft_rule(const std::string& specification) {
  return RuleWords(specification).text();
}

}  // namespace sallyport::rules
