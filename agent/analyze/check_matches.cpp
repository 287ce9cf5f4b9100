// Rules of VirtualServices that are never used, because one before takes what they ask for.
#include <algorithm>

#include "agent/analyze/checks.h"

namespace sallyport::analyze {
namespace {

using istio::HttpMatch;
using istio::StringMatch;
using Kind = istio::StringMatch::Kind;

bool hides(const StringMatch& earlier, const StringMatch& later) {
  if (earlier.kind == Kind::present || earlier == later) return true;
  const bool both_literal = later.kind == Kind::exact || later.kind == Kind::prefix;
  return earlier.kind == Kind::prefix && both_literal && later.value.starts_with(earlier.value);
}

bool hides(const std::optional<StringMatch>& earlier, const std::optional<StringMatch>& later) {
  return !earlier || (later && hides(*earlier, *later));
}

bool hides(const istio::StringMatches& earlier, const istio::StringMatches& later) {
  return std::all_of(earlier.begin(), earlier.end(), [&](const auto& entry) {
    const auto at = later.find(entry.first);
    return at != later.end() && hides(entry.second, at->second);
  });
}

// Everything that `later` takes, `earlier` takes.
bool hides(const HttpMatch& earlier, const HttpMatch& later) {
  const bool uri =
      !earlier.uri || (earlier.uri->kind == Kind::prefix && earlier.uri->value == "/") ||
      (earlier.ignore_uri_case == later.ignore_uri_case && hides(earlier.uri, later.uri));
  const bool port = earlier.port == 0 || earlier.port == later.port;
  const bool space =
      earlier.source_namespace.empty() || earlier.source_namespace == later.source_namespace;
  const bool gateways = earlier.gateways.empty() || earlier.gateways == later.gateways;
  return uri && port && space && gateways && hides(earlier.scheme, later.scheme) &&
         hides(earlier.method, later.method) && hides(earlier.authority, later.authority) &&
         hides(earlier.headers, later.headers) && hides(earlier.query_params, later.query_params) &&
         std::includes(later.without_headers.begin(), later.without_headers.end(),
                       earlier.without_headers.begin(), earlier.without_headers.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; }) &&
         earlier.without_headers.size() <= later.without_headers.size() &&
         selects(earlier.source_labels, later.source_labels);
}

std::string name_of(const istio::HttpRoute& rule, std::size_t index) {
  return rule.name.empty() ? "#" + std::to_string(index) : rule.name;
}

// The rule before `until` that takes all of `match`; its size where none does.
std::size_t hidden_by(const std::vector<istio::HttpRoute>& rules, std::size_t until,
                      const HttpMatch& match) {
  for (std::size_t i = 0; i < until; i++) {
    const auto& earlier = rules[i];
    const bool takes =
        earlier.match.empty() || std::any_of(earlier.match.begin(), earlier.match.end(),
                                             [&](const auto& one) { return hides(one, match); });
    if (takes) return i;
  }
  return rules.size();
}

void check_rule(Checks& checks, const Typed<istio::VirtualService>& service, std::size_t index) {
  const auto& rules = service->http;
  const auto& rule = rules[index];
  const auto field = item("spec.http", index);
  const auto name = name_of(rule, index);
  const auto matches = rule.match.empty() ? std::vector<HttpMatch>(1) : rule.match;
  std::vector<std::size_t> hiding;
  for (const auto& match : matches) hiding.push_back(hidden_by(rules, index, match));
  const auto is_hidden = [&](std::size_t by) { return by < rules.size(); };
  if (std::all_of(hiding.begin(), hiding.end(), is_hidden)) {
    const auto& by = rules[hiding.front()];
    const bool all = by.match.empty();
    return checks.add(
        "IST0130", *service.object, field,
        "VirtualService rule " + name + " not used (" +
            (all ? "only the last rule can have no matches" : "all matches used by prior rules") +
            "): rule " + name_of(by, hiding.front()) + " takes what it asks for");
  }
  for (std::size_t i = 0; i < hiding.size(); i++) {
    if (!is_hidden(hiding[i])) continue;
    checks.add("IST0131", *service.object, item(field + ".match", i),
               "VirtualService rule " + name + " match #" + std::to_string(i) +
                   " is not used (duplicate/overlapping match in rule " +
                   name_of(rules[hiding[i]], hiding[i]) + ").");
  }
}

}  // namespace

void check_matches(Checks& checks) {
  for (const auto& service : checks.world.all<istio::VirtualService>()) {
    for (std::size_t i = 1; i < service->http.size(); i++) check_rule(checks, service, i);
  }
}

}  // namespace sallyport::analyze
