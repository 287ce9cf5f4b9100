#include "agent/mesh/authorization.h"

#include <algorithm>
#include <boost/container/small_vector.hpp>

#include "agent/mesh/authorization_rules.h"
#include "agent/mesh/match.h"

namespace sallyport::mesh {
namespace {

bool same_ref(const ResourceRefPtr& a, const ResourceRefPtr& b) {
  return a == b || (a && b && *a == *b);
}

bool any_text(const std::vector<TextPattern>& patterns, std::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [text](const TextPattern& one) { return one.matches(text); });
}

bool any_block(const std::vector<Cidr>& blocks, const SocketAddress& address) {
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const Cidr& one) { return one.contains(address.ip()); });
}

// What the connection keeps to itself is gone before rules are asked, as in Envoy; what it is only
// written anew for the next hop is not.
bool is_for_rules(const http::Head& head, const http::Field& field) {
  const auto name = head.name(field);
  if (http::same_name(name, "transfer-encoding")) return false;
  if (!field.hop || http::same_name(name, "upgrade")) return true;
  if (http::same_name(name, "te")) return head.te_trailers;
  return name.size() > 8 && http::same_name(name.substr(0, 8), "x-envoy-");
}

// Fields of one name count as one with commas between (RFC 9110 section 5.3), empty ones not at
// all (Envoy, measured). `last`: one more behind them, unless it is empty.
bool any_joined(const std::vector<TextPattern>& patterns, const http::Head& head,
                std::string_view name, std::string_view last) {
  boost::container::small_vector<char, 1024> joined;
  const auto add = [&joined](std::string_view value) {
    if (value.empty()) return;
    if (!joined.empty()) joined.push_back(',');
    joined.insert(joined.end(), value.begin(), value.end());
  };
  for (std::size_t i = 0; i < head.count; i++)
    if (http::same_name(head.name(head.fields[i]), name)) add(head.value(head.fields[i]));
  add(last);
  return any_text(patterns, {joined.data(), joined.size()});
}

// Envoy takes the scheme from x-forwarded-proto where that is one.
std::string_view scheme_of(const AuthorizationFacts& facts) {
  const auto said = facts.head ? facts.head->find("x-forwarded-proto") : std::string_view();
  return said == "http" || said == "https" ? said : facts.scheme;
}

// Of a field that the client has not sent: what we send on in its place.
bool any_of_ours(const std::vector<TextPattern>& patterns, const AuthorizationFacts& facts,
                 std::string_view name) {
  if (http::same_name(name, "x-forwarded-proto")) return any_text(patterns, facts.scheme);
  if (http::same_name(name, "x-request-id") && !facts.request_id.empty())
    return any_text(patterns, facts.request_id);
  return false;
}

bool any_header(const std::vector<TextPattern>& patterns, const AuthorizationFacts& facts,
                std::string_view name) {
  if (name == ":authority" || http::same_name(name, "host"))
    return any_text(patterns, facts.authority);
  if (name == ":method") return any_text(patterns, facts.method);
  if (name == ":path") return any_text(patterns, facts.path);
  if (name == ":scheme") return any_text(patterns, scheme_of(facts));
  if (!facts.head) return false;
  const bool certificate = http::same_name(name, "x-forwarded-client-cert");
  if (certificate && !facts.admitted) {
    return !facts.forwarded_cert.empty() &&
           any_joined(patterns, *facts.head, name, facts.forwarded_cert);
  }
  const http::Field* first = nullptr;
  for (std::size_t i = 0; i < facts.head->count; i++) {
    const auto& field = facts.head->fields[i];
    if (!http::same_name(facts.head->name(field), name)) continue;
    if (!certificate && !is_for_rules(*facts.head, field)) continue;
    if (first) return any_joined(patterns, *facts.head, name, {});
    first = &field;
  }
  return first ? any_text(patterns, facts.head->value(*first)) : any_of_ours(patterns, facts, name);
}

bool any_of(const AttributeValues& values, const AttributeCondition& condition,
            const AuthorizationFacts& facts) {
  switch (condition.attribute) {
    case Attribute::peer_ip:
      return any_block(values.blocks, facts.peer);
    case Attribute::remote_ip:
      return any_block(values.blocks, facts.remote);
    case Attribute::destination_ip:
      return any_block(values.blocks, facts.destination);
    case Attribute::destination_port:
      return std::find(values.ports.begin(), values.ports.end(), facts.destination.port()) !=
             values.ports.end();
    case Attribute::principal:
      return std::any_of(facts.uri_sans.begin(), facts.uri_sans.end(),
                         [&](const std::string& uri) { return any_text(values.texts, uri); });
    case Attribute::sni:
      return any_text(values.texts, facts.sni);
    case Attribute::host:
      return any_text(values.texts, facts.authority);
    case Attribute::method:
      return any_text(values.texts, facts.method);
    case Attribute::path:
      return any_text(values.texts, path_only(facts.path));
    case Attribute::header:
      return any_header(values.texts, facts, condition.header);
  }
  return false;
}

bool holds(const AttributeCondition& condition, const AuthorizationFacts& facts) {
  if (!condition.values.empty() && !any_of(condition.values, condition, facts)) return false;
  return condition.not_values.empty() || !any_of(condition.not_values, condition, facts);
}

bool all_hold(const AllOf& conditions, const AuthorizationFacts& facts) {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const AttributeCondition& one) { return holds(one, facts); });
}

bool one_holds(const std::vector<AllOf>& alternatives, const AuthorizationFacts& facts) {
  return alternatives.empty() ||
         std::any_of(alternatives.begin(), alternatives.end(),
                     [&](const AllOf& one) { return all_hold(one, facts); });
}

// The first that matches; null: none.
const CompiledRule* find(const RuleSet& set, const AuthorizationFacts& facts) {
  const auto at = std::find_if(set.rules.begin(), set.rules.end(), [&](const CompiledRule& rule) {
    return one_holds(rule.to, facts) && one_holds(rule.from, facts) && all_hold(rule.when, facts);
  });
  return at == set.rules.end() ? nullptr : &*at;
}

void refuse(AuthorizationAnswer& answer, std::string_view policy, const ResourceRefPtr& because) {
  answer.allowed = false;
  answer.policy = policy;
  answer.because = because;
}

constexpr std::string_view none = "none";

}  // namespace

bool CompiledRule::operator==(const CompiledRule& other) const {
  return name == other.name && same_ref(ref, other.ref) && from == other.from && to == other.to &&
         when == other.when;
}

bool RuleSet::operator==(const RuleSet& other) const {
  return given == other.given && same_ref(first, other.first) && rules == other.rules;
}

bool Closing::operator==(const Closing& other) const {
  return name == other.name && reason == other.reason && same_ref(ref, other.ref);
}

bool Authorization::operator==(const Authorization& other) const {
  return *http == *other.http && *tcp == *other.tcp;
}

AuthorizationAnswer authorize(const Authorization& authorization, const AuthorizationFacts& facts) {
  const AuthorizationRules& rules = facts.head ? *authorization.http : *authorization.tcp;
  AuthorizationAnswer answer;
  if (const auto* rule = find(rules.audit, facts)) answer.audited_by = rule->name;
  if (!rules.closing.empty()) {
    const Closing& closing = rules.closing.front();
    refuse(answer, closing.name, closing.ref);
    answer.reason = closing.reason;
    return answer;
  }
  if (const auto* rule = find(rules.dry_deny, facts)) answer.dry_run = rule->name;
  if (const auto* rule = find(rules.deny, facts)) {
    refuse(answer, rule->name, rule->ref);
    return answer;
  }
  if (answer.dry_run.empty() && rules.dry_allow.given && !find(rules.dry_allow, facts))
    answer.dry_run = none;
  if (!rules.allow.given) return answer;
  if (const auto* rule = find(rules.allow, facts)) {
    answer.because = rule->ref;
  } else {
    refuse(answer, none, rules.allow.first);
  }
  return answer;
}

}  // namespace sallyport::mesh
