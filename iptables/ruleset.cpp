#include "iptables/ruleset.h"

#include <algorithm>
#include <utility>

namespace sallyport::rules {
namespace {

// Every chain that Istio's sidecar rules have had a name for, so that other flags' and older
// versions' are found too.
bool is_our_chain(std::string_view name) {
  static constexpr std::string_view names[] = {
      "ISTIO_INBOUND",    "ISTIO_IN_REDIRECT",   "ISTIO_OUTPUT",     "ISTIO_REDIRECT",
      "ISTIO_OUTPUT_DNS", "ISTIO_OUTPUT_GROUPS", "ISTIO_DROP",       "ISTIO_DIVERT",
      "ISTIO_TPROXY",     "ISTIO_UDP",           "ISTIO_UDP_GROUPS", "ISTIO_UDP_VERDICT",
      "ISTIO_HOLD"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// The word after the first of `options` among `words`, or nothing.
std::string_view argument_of(const std::vector<std::string>& words,
                             std::initializer_list<std::string_view> options) {
  for (std::size_t i = 0; i + 1 < words.size(); i++) {
    if (std::find(options.begin(), options.end(), words[i]) != options.end()) return words[i + 1];
  }
  return {};
}

// What Istio's installer adds to OUTPUT and PREROUTING of mangle in TPROXY mode, without a name:
// packets and connections of its default mark, and its mark of calls to the own pod.
bool is_istios_mark_rule(const std::vector<std::string>& words) {
  const auto target = argument_of(words, {"-j"});
  const bool of_mark = argument_of(words, {"--mark"}) == "0x539";
  const bool of_loopback = argument_of(words, {"-o"}) == "lo";
  return (of_mark && target == "CONNMARK") || (of_mark && of_loopback && target == "RETURN") ||
         (of_loopback && target == "MARK" &&
          argument_of(words, {"--set-xmark"}) == "0x53a/0xffffffff");
}

bool is_our_rule(const std::string& specification) {
  const auto words = split_words(specification);
  return is_our_chain(argument_of(words, {"-j", "-g"})) ||
         argument_of(words, {"--comment"}) == rule_comment || is_istios_mark_rule(words);
}

// Versions and backends of iptables print the same matches in other orders, and leave out "-m tcp"
// after "-p tcp" or not. Until when SYNs are held was told by the clock of the run that set it.
std::string canonical(const std::string& specification) {
  std::vector<std::string> options;
  bool negated = false;
  for (const auto& word : split_words(specification)) {
    if (word == "!") {
      negated = true;
    } else if (word.starts_with('-') || options.empty()) {
      options.push_back((std::exchange(negated, false) ? "! " : "") + word);
    } else {
      options.back() += " " + word;
    }
  }
  std::erase_if(options, [](const auto& option) {
    return option == "-m tcp" || option == "-m udp" || option.starts_with("--datestop ");
  });
  std::sort(options.begin(), options.end());
  std::string out;
  for (const auto& option : options) out += option + "\n";
  return out;
}

void add_rule(Ruleset& ruleset, Table& table, std::string_view line) {
  line.remove_prefix(std::min<std::size_t>(3, line.size()));  // "-A "
  const auto blank = std::min(line.find(' '), line.size());
  const std::string chain(line.substr(0, blank));
  std::string specification(line.substr(std::min(blank + 1, line.size())));
  if (is_our_chain(chain)) {
    table.chains[chain].push_back(std::move(specification));
  } else if (is_our_rule(specification)) {
    auto& jumps = table.jumps[chain];
    const std::size_t position = table.others[chain] + jumps.size() + 1;
    jumps.push_back({std::move(specification), position});
  } else {
    table.others[chain]++;
    ruleset.has_others = true;
  }
}

void add_chain(Ruleset& ruleset, Table& table, std::string_view line) {
  line.remove_prefix(1);  // ":"
  const auto blank = std::min(line.find(' '), line.size());
  const auto name = line.substr(0, blank);
  if (is_our_chain(name)) {
    table.chains[std::string(name)];
  } else if (line.substr(blank).starts_with(" -")) {  // A chain without a policy is a user's.
    ruleset.has_others = true;
  }
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, started = false;
  for (std::size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (c == '"') {
      quoted = !quoted;
      started = true;
    } else if (c == '\\' && quoted && i + 1 < text.size()) {
      word += text[++i];
    } else if (c == ' ' && !quoted) {
      if (started) words.push_back(std::exchange(word, {}));
      started = false;
    } else {
      word += c;
      started = true;
    }
  }
  if (started) words.push_back(std::move(word));
  return words;
}

bool same_rule(const std::string& one, const std::string& other) {
  return one == other || canonical(one) == canonical(other);
}

bool Ruleset::has_ours() const {
  return std::any_of(tables.begin(), tables.end(),
                     [](const auto& entry) { return entry.second.has_ours(); });
}

std::size_t Table::rule_count() const {
  std::size_t count = 0;
  for (const auto& [chain, rules] : chains) count += rules.size();
  for (const auto& [chain, rules] : jumps) count += rules.size();
  return count;
}

std::size_t Ruleset::rule_count() const {
  std::size_t count = 0;
  for (const auto& [name, table] : tables) count += table.rule_count();
  return count;
}

Ruleset parse_ruleset(std::string_view save) {
  Ruleset ruleset;
  Table* table = nullptr;
  while (!save.empty()) {
    const auto end = std::min(save.find('\n'), save.size());
    const auto line = save.substr(0, end);
    save.remove_prefix(std::min(end + 1, save.size()));
    if (line.starts_with('*')) {
      table = &ruleset.tables[std::string(line.substr(1))];
    } else if (table != nullptr && line.starts_with(':')) {
      add_chain(ruleset, *table, line);
    } else if (table != nullptr && line.starts_with("-A ")) {
      add_rule(ruleset, *table, line);
    }
  }
  return ruleset;
}

Ruleset planned(std::string_view restore) {
  Ruleset ruleset = parse_ruleset(restore);
  for (auto& [name, table] : ruleset.tables) {
    for (auto& [chain, jumps] : table.jumps) {
      for (auto& jump : jumps) jump.position.reset();
    }
  }
  return ruleset;
}

}  // namespace sallyport::rules
