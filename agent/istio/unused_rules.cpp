#include "agent/istio/unused_rules.h"

#include <algorithm>
#include <map>

namespace sallyport::istio {
namespace {

using Kind = StringMatch::Kind;

std::string name_of(const std::string& name, std::size_t index) {
  return name.empty() ? '#' + std::to_string(index) : '"' + name + '"';
}
std::string name_of(const HttpRoute& rule, std::size_t index) { return name_of(rule.name, index); }
std::string name_of(const L4Route&, std::size_t index) { return name_of("", index); }
std::string name_of(const HttpMatch& match, std::size_t index) {
  return name_of(match.name, index);
}
std::string name_of(const L4Match&, std::size_t index) { return name_of("", index); }

// Equal for matches that ask for the same; their names don't count.
class Key {
public:
  explicit Key(const HttpMatch& match) {
    for (const auto* one : {&match.uri, &match.scheme, &match.method, &match.authority}) {
      add(one->has_value());
      if (*one) add(**one);
    }
    for (const auto* map : {&match.headers, &match.without_headers, &match.query_params}) {
      add(map->size());
      for (const auto& [name, value] : *map) {
        add(name);
        add(value);
      }
    }
    add(match.ignore_uri_case);
    client(match);
  }
  explicit Key(const L4Match& match) {
    list(match.sni_hosts);
    list(match.destination_subnets);
    client(match);
  }
  bool operator<(const Key& other) const { return text_ < other.text_; }

private:
  void add(std::string_view text) { (text_ += std::to_string(text.size()) + ':') += text; }
  void add(std::size_t number) { text_ += std::to_string(number) + ','; }
  void add(const StringMatch& match) {
    add(static_cast<std::size_t>(match.kind));
    add(match.value);
  }
  void list(const std::vector<std::string>& texts) {
    add(texts.size());
    for (const auto& text : texts) add(text);
  }
  void client(const auto& match) {
    add(std::size_t{match.port});
    add(match.source_namespace);
    add(match.source_labels.size());
    for (const auto& [name, value] : match.source_labels) {
      add(name);
      add(value);
    }
    list(match.gateways);
  }

  std::string text_;
};

// "exact:v", "prefix:v"; nothing for what is neither. Istio compares them as texts.
std::string literal(const StringMatch& match) {
  if (match.value.empty() || match.kind == Kind::regex) return {};
  return (match.kind == Kind::exact ? "exact:" : "prefix:") + match.value;
}
std::string literal(const std::optional<StringMatch>& match) {
  return match ? literal(*match) : std::string();
}

bool narrower(std::string_view a, std::string_view b) { return a.starts_with(b); }

bool narrower(const StringMatches& a, const StringMatches& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           const auto at = b.find(entry.first);
           return at != b.end() && narrower(literal(entry.second), literal(at->second));
         });
}

// A match with a prefix of the path: Istio looks for wider prefixes among these.
struct PrefixMatch {
  const HttpMatch* match;
  std::size_t rule, index;
  const std::string& prefix() const { return match->uri->value; }
  std::string method() const {
    const auto text = literal(match->method);
    return text.empty() ? "exact:GET" : text;
  }
};

bool covers(const PrefixMatch& a, const PrefixMatch& b) {
  return b.prefix().starts_with(a.prefix()) && a.match->port == b.match->port &&
         narrower(a.method(), b.method()) &&
         narrower(literal(a.match->authority), literal(b.match->authority)) &&
         narrower(a.match->headers, b.match->headers) &&
         narrower(a.match->query_params, b.match->query_params) &&
         narrower(a.match->without_headers, b.match->without_headers);
}

template <class Rule>
class Search {
public:
  Search(const std::vector<Rule>& rules, std::string list, std::vector<UnusedRule>& out)
      : rules_(rules), list_(std::move(list)), out_(out) {}

  void run() {
    for (std::size_t i = 0; i < rules_.size(); i++) look_at(i);
  }
  void match_unused(std::size_t rule, std::size_t match, const std::string& name,
                    const std::string& by) {
    out_.push_back({false, field(rule) + ".match[" + std::to_string(match) + ']',
                    rules_[rule].match[match].line,
                    "rule " + name_of(rules_[rule], rule) + " match " + name +
                        " is not used (duplicate/overlapping match in rule " + by + ")"});
  }

private:
  std::string field(std::size_t rule) const {
    return "spec." + list_ + '[' + std::to_string(rule) + ']';
  }
  void rule_unused(std::size_t rule, std::string_view why) {
    out_.push_back(
        {true, field(rule), rules_[rule].line,
         "rule " + name_of(rules_[rule], rule) + " not used (" + std::string(why) + ")"});
  }
  void look_at(std::size_t at);

  const std::vector<Rule>& rules_;
  const std::string list_;
  std::vector<UnusedRule>& out_;
  std::map<Key, std::size_t> seen_;  // the rule that has the match
  bool took_all_ = false;
};

template <class Rule>
void Search<Rule>::look_at(std::size_t at) {
  const auto& matches = rules_[at].match;
  if (matches.empty()) {
    if (took_all_) rule_unused(at, "only the last rule can have no matches");
    took_all_ = true;
    return;
  }
  std::size_t duplicates = 0;
  for (std::size_t i = 0; i < matches.size(); i++) {
    if (took_all_) {
      rule_unused(at, "route without matches defined before");
      continue;
    }
    const auto [first, is_new] = seen_.try_emplace(Key(matches[i]), at);
    if (is_new) continue;
    match_unused(at, i, name_of(matches[i], i), name_of(rules_[first->second], first->second));
    duplicates++;
  }
  if (duplicates == matches.size()) rule_unused(at, "all matches used by prior rules");
}

// Each match before the rule that takes everything, but for repeated ones.
std::vector<PrefixMatch> prefix_matches(const std::vector<HttpRoute>& rules) {
  std::vector<PrefixMatch> out;
  std::map<Key, bool> seen;
  for (std::size_t i = 0; i < rules.size() && !rules[i].match.empty(); i++) {
    for (std::size_t j = 0; j < rules[i].match.size(); j++) {
      const auto& match = rules[i].match[j];
      const bool prefix = match.uri && match.uri->kind == Kind::prefix && !match.uri->value.empty();
      if (seen.try_emplace(Key(match), true).second && prefix) out.push_back({&match, i, j});
    }
  }
  return out;
}

void find_covered(const std::vector<HttpRoute>& rules, Search<HttpRoute>& search) {
  const auto all = prefix_matches(rules);
  const auto text = [](const PrefixMatch& one) {
    return name_of(*one.match, one.index) + " of prefix " + one.prefix();
  };
  for (std::size_t i = 0; i < all.size(); i++) {
    for (std::size_t j = i + 1; j < all.size(); j++) {
      if (all[i].prefix() == all[j].prefix() || !covers(all[i], all[j])) continue;
      search.match_unused(all[j].rule, all[j].index, text(all[j]),
                          text(all[i]) + " on " + name_of(rules[all[i].rule], all[i].rule));
    }
  }
}

}  // namespace

std::vector<UnusedRule> unused_rules(const VirtualService& service) {
  std::vector<UnusedRule> out;
  Search http(service.http, "http", out);
  http.run();
  find_covered(service.http, http);
  Search(service.tcp, "tcp", out).run();
  Search(service.tls, "tls", out).run();
  return out;
}

}  // namespace sallyport::istio
