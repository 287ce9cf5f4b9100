#include "iptables/verify/rule_walk.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "iptables/verify/rule_match.h"

namespace sallyport::rules {
namespace {

using Verdict = Decision::Verdict;

struct SavedChain {
  std::string policy;
  std::vector<ParsedRule> rules;
};
using SavedTable = std::map<std::string, SavedChain, std::less<>>;
using SavedTables = std::map<std::string, SavedTable, std::less<>>;

// ":OUTPUT ACCEPT [0:0]"
void add_chain_line(SavedTable& table, std::string_view line) {
  const auto blank = line.find(' ');
  auto policy = blank == line.npos ? std::string_view() : line.substr(blank + 1);
  table[std::string(line.substr(1, blank - 1))].policy = policy.substr(0, policy.find(' '));
}

// "-A OUTPUT -p tcp -j ACCEPT"
void add_rule_line(SavedTable& table, std::string_view line) {
  line.remove_prefix(3);
  const auto blank = std::min(line.find(' '), line.size());
  const auto specification = line.substr(std::min(blank + 1, line.size()));
  table[std::string(line.substr(0, blank))].rules.push_back(parse_rule(specification));
}

SavedTables read_tables(std::string_view save) {
  SavedTables out;
  SavedTable* table = nullptr;
  while (!save.empty()) {
    const auto end = std::min(save.find('\n'), save.size());
    const auto line = save.substr(0, end);
    save.remove_prefix(std::min(end + 1, save.size()));
    if (line.starts_with('*')) table = &out[std::string(line.substr(1))];
    if (table == nullptr) continue;
    if (line.starts_with(':')) add_chain_line(*table, line);
    if (line.starts_with("-A ")) add_rule_line(*table, line);
  }
  return out;
}

// What a target that is no chain does; nullopt: the packet goes on to the next rule.
std::optional<Verdict> verdict_of(const ParsedRule& rule) {
  const auto& target = rule.target;
  if (target == "ACCEPT") return Verdict::accepts;
  if (target == "RETURN") return Verdict::returns;
  if (target == "DROP" || target == "REJECT") return Verdict::drops;
  if (target == "REDIRECT" || target == "DNAT" || target == "TPROXY") return Verdict::leads;
  if (target == "NFQUEUE") return Verdict::queues;
  const bool untracks = target == "CT" && std::find(rule.arguments.begin(), rule.arguments.end(),
                                                    "--notrack") != rule.arguments.end();
  if (untracks || target == "NOTRACK") return Verdict::untracks;
  return {};
}

// "--to-ports 15001", "--on-port 15006", "--to-destination 10.0.0.1:80"
uint16_t led_to(const ParsedRule& rule) {
  for (std::size_t i = 0; i + 1 < rule.arguments.size(); i++) {
    const auto& option = rule.arguments[i];
    const auto& value = rule.arguments[i + 1];
    if (option == "--to-ports" || option == "--on-port")
      return static_cast<uint16_t>(std::strtoul(value.c_str(), nullptr, 10));
    if (option != "--to-destination") continue;
    const auto address = SocketAddress::parse(value);
    return address ? address->port() : uint16_t{0};
  }
  return 0;
}

// One table at one hook.
class TableWalk {
public:
  TableWalk(std::string table, const SavedTable& chains, const AtHook& at,
            std::vector<Decision>& out)
      : table_(std::move(table)), chains_(chains), at_(at), out_(out) {}

  // Whether the packet goes on behind this table.
  bool run(const std::string& hook) {
    const auto chain = chains_.find(hook);
    if (chain == chains_.end()) return true;
    const auto verdict = through(hook, 0);
    if (!verdict || *verdict == Verdict::returns) {
      const bool drops = chain->second.policy == "DROP";
      if (drops) out_.push_back({Verdict::drops, true, 0, table_, hook + ": policy DROP"});
      return !drops;
    }
    return *verdict != Verdict::drops && *verdict != Verdict::queues;
  }

private:
  static constexpr int deepest = 64;  // more than iptables-save shows of any sane host

  // nullopt: it came to the chain's end.
  std::optional<Verdict> through(const std::string& name, int depth) {
    const auto chain = chains_.find(name);
    if (chain == chains_.end() || depth == deepest) return {};
    for (std::size_t i = 0; i < chain->second.rules.size(); i++) {
      const auto& rule = chain->second.rules[i];
      const Met met = meets(rule, at_);
      if (met == Met::no) continue;
      if (chains_.contains(rule.target)) {
        const auto verdict = through(rule.target, depth + 1);
        const bool ended = verdict && *verdict != Verdict::returns;
        if (ended && met == Met::yes) return verdict;
        if (ended) out_.back().certain = false;
        if (rule.is_goto && met == Met::yes) return Verdict::returns;
        continue;
      }
      const auto verdict = verdict_of(rule);
      if (!verdict) continue;
      out_.push_back({*verdict, met == Met::yes, led_to(rule), table_,
                      name + " rule " + std::to_string(i + 1) + ": " + rule.text});
      if (met == Met::yes && *verdict != Verdict::untracks) return verdict;
    }
    return {};
  }

  std::string table_;
  const SavedTable& chains_;
  const AtHook& at_;
  std::vector<Decision>& out_;
};

class PacketWalk {
public:
  PacketWalk(const SavedTables& tables, const WalkedPacket& packet)
      : tables_(tables), packet_(packet) {}

  std::vector<Decision> run() {
    const bool out = packet_.direction == Direction::outbound;
    const std::string device = packet_.device.value_or("");
    const AtHook first{
        packet_, packet_.destination, packet_.port, out ? "" : device, out ? device : "", !out,
        out};
    const auto tables = out ? std::vector<const char*>{"raw", "mangle", "nat", "filter"}
                            : std::vector<const char*>{"raw", "mangle", "nat"};
    if (!pass(out ? "OUTPUT" : "PREROUTING", tables, first)) return std::move(out_);
    const auto led = std::find_if(out_.rbegin(), out_.rend(), [](const Decision& decision) {
      return decision.verdict == Verdict::leads && decision.certain;
    });
    if (out && led == out_.rend() && !packet_.to_itself) return std::move(out_);
    const uint16_t port = led == out_.rend() || led->port == 0 ? packet_.port : led->port;
    const AtHook last{packet_, packet_.destination, port, out ? "lo" : device, "", true, false};
    (void)pass("INPUT", {"mangle", "filter"}, last);
    return std::move(out_);
  }

private:
  bool pass(const char* hook, const std::vector<const char*>& tables, const AtHook& at) {
    for (const char* name : tables) {
      const auto table = tables_.find(name);
      if (table != tables_.end() && !TableWalk(name, table->second, at, out_).run(hook))
        return false;
    }
    return true;
  }

  const SavedTables& tables_;
  const WalkedPacket& packet_;
  std::vector<Decision> out_;
};

}  // namespace

std::vector<Decision> walk(std::string_view save, const WalkedPacket& packet) {
  const auto tables = read_tables(save);
  return PacketWalk(tables, packet).run();
}

}  // namespace sallyport::rules
