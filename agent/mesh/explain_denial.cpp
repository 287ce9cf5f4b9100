// Each field of a rule is compiled as a rule of its own and asked: the code that decides says which
// one does not hold.
#include "agent/mesh/explain_denial.h"

#include <algorithm>

#include "agent/core/spiffe.h"
#include "agent/mesh/authorization_rules.h"
#include "agent/mesh/match.h"

namespace sallyport::mesh {
namespace {

using istio::AuthorizationPolicy;
using istio::AuthorizationRule;
using istio::RuleOperation;
using istio::RuleSource;
using istio::RuleValues;

constexpr std::size_t told_rules = 8, told_values = 5, told_alternatives = 3;

template <class T>
struct FieldOf {
  const char* name;
  RuleValues T::*values;
};
constexpr FieldOf<RuleSource> source_fields[] = {{"principals", &RuleSource::principals},
                                                 {"serviceAccounts", &RuleSource::service_accounts},
                                                 {"trustDomains", &RuleSource::trust_domains},
                                                 {"namespaces", &RuleSource::namespaces},
                                                 {"remoteIpBlocks", &RuleSource::remote_ip_blocks},
                                                 {"ipBlocks", &RuleSource::ip_blocks}};
constexpr FieldOf<RuleOperation> operation_fields[] = {{"ports", &RuleOperation::ports},
                                                       {"hosts", &RuleOperation::hosts},
                                                       {"methods", &RuleOperation::methods},
                                                       {"paths", &RuleOperation::paths}};

// One list of values of a rule; `rule` asks for nothing else.
struct LoneField {
  std::string text;  // "methods [GET]"
  bool negated = false;
  AuthorizationRule rule;
};
using LoneFields = std::vector<LoneField>;  // all of them have to hold

std::string bracketed(const std::vector<std::string>& values) {
  std::string out;
  for (std::size_t i = 0; i < values.size() && i < told_values; ++i)
    out += (i > 0 ? ", " : "") + values[i];
  return "[" + out + (values.size() > told_values ? ", ...]" : "]");
}

std::string negated_name(std::string name) {
  name.front() = static_cast<char>(name.front() - 'a' + 'A');
  return "not" + name;
}

template <class T>
LoneFields fields_alone(const T& all, std::vector<T> AuthorizationRule::*where,
                        const auto& fields) {
  LoneFields out;
  const auto add = [&](std::string text, bool negated, const auto& field, RuleValues values) {
    T alone;
    alone.*field.values = std::move(values);
    LoneField one{std::move(text), negated, {}};
    (one.rule.*where).push_back(std::move(alone));
    out.push_back(std::move(one));
  };
  for (const auto& field : fields) {
    const auto& [values, not_values] = all.*field.values;
    if (!values.empty()) add(field.name + (" " + bracketed(values)), false, field, {values, {}});
    if (!not_values.empty()) {
      add(negated_name(field.name) + " " + bracketed(not_values), true, field, {{}, not_values});
    }
  }
  return out;
}

LoneFields conditions_alone(const AuthorizationRule& rule) {
  LoneFields out;
  const auto add = [&](std::string text, bool negated, istio::RuleCondition condition) {
    LoneField one{std::move(text), negated, {}};
    one.rule.when.push_back(std::move(condition));
    out.push_back(std::move(one));
  };
  for (const auto& [key, all, line] : rule.when) {
    const auto text = "when " + key + " ";
    if (!all.values.empty()) {
      add(text + "values " + bracketed(all.values), false, {key, {all.values, {}}, line});
    }
    if (!all.not_values.empty()) {
      add(text + "notValues " + bracketed(all.not_values), true, {key, {{}, all.not_values}, line});
    }
  }
  return out;
}

// The only condition of a rule that asks for one thing.
const AttributeCondition& only_condition(const CompiledRule& rule) {
  if (!rule.from.empty()) return rule.from.front().front();
  return rule.to.empty() ? rule.when.front() : rule.to.front().front();
}

std::string address_or(const IpAddress& ip, const char* unknown) {
  return ip.is_set() ? ip.text() : unknown;
}

std::string text_or(std::string_view text, const char* none) {
  return text.empty() ? none : std::string(text);
}

// What the condition was held against.
std::string asked_value(const AttributeCondition& condition, const AuthorizationFacts& facts) {
  switch (condition.attribute) {
    case Attribute::peer_ip:
      return address_or(facts.peer.ip(), "the client's address, which is not known here");
    case Attribute::remote_ip:
      return address_or(facts.remote.ip(), "the client's address, which is not known here");
    case Attribute::destination_ip:
      return address_or(facts.destination.ip(), "the server's address, which is not known here");
    case Attribute::destination_port:
      return std::to_string(facts.destination.port());
    case Attribute::principal: {
      if (facts.uri_sans.empty()) return "a client without identity";
      const std::string_view uri = facts.uri_sans.front();
      return std::string(uri.substr(uri.starts_with(spiffe_prefix) ? spiffe_prefix.size() : 0));
    }
    case Attribute::sni:
      return text_or(facts.sni, "a connection without SNI");
    case Attribute::host:
      return text_or(facts.authority, "a request without Host");
    case Attribute::method:
      return std::string(facts.method);
    case Attribute::path:
      return std::string(path_only(facts.path));
    case Attribute::header:
      return facts.head ? text_or(facts.head->find(condition.header), "this request")
                        : "this request";
  }
  return {};
}

class DenialTeller {
public:
  DenialTeller(const CompileInput& input, const AuthorizationFacts& facts)
      : input_(input), facts_(facts) {
    alone_.mesh = input.mesh;
    alone_.proxy = input.proxy;
  }
  std::vector<std::string> tell();

private:
  AuthorizationPtr compile_alone(AuthorizationPolicy policy);
  void add_policy(const AuthorizationPolicy& policy);
  std::string why_not(const AuthorizationPolicy& policy, const AuthorizationRule& rule);
  std::string failure_of(const AuthorizationPolicy& policy, const LoneField& field, bool of_http);
  std::string first_failure(const AuthorizationPolicy& policy, const LoneFields& fields,
                            bool of_http);
  std::string failures(const AuthorizationPolicy& policy, const char* name,
                       const std::vector<LoneFields>& alternatives);

  const CompileInput& input_;
  const AuthorizationFacts& facts_;
  CompileInput alone_;  // of one policy
  std::vector<std::string> notes_;
  std::size_t left_out_ = 0;
};

AuthorizationPtr DenialTeller::compile_alone(AuthorizationPolicy policy) {
  alone_.resources = {std::make_shared<const istio::Resource>(std::move(policy))};
  std::vector<istio::Finding> told_before;
  return compile_authorization(alone_, told_before);
}

// Empty: it holds. `of_http`: only whether it is what TCP does not have.
std::string DenialTeller::failure_of(const AuthorizationPolicy& policy, const LoneField& field,
                                     bool of_http) {
  AuthorizationPolicy asked = policy;
  asked.rules = {field.rule};
  asked.rules.front().ref = policy.metadata.ref;
  const auto compiled = compile_alone(std::move(asked));
  if (!compiled || compiled->http->allow.rules.empty()) return {};
  if (!facts_.head && compiled->tcp->allow.rules.empty()) {
    return field.text + " is for HTTP, port " + std::to_string(facts_.destination.port()) +
           " is TCP";
  }
  if (of_http || authorize(*compiled, facts_).allowed) return {};
  return field.text + (field.negated ? " matches " : " does not match ") +
         asked_value(only_condition(compiled->http->allow.rules.front()), facts_);
}

std::string DenialTeller::first_failure(const AuthorizationPolicy& policy, const LoneFields& fields,
                                        bool of_http) {
  for (const auto& field : fields)
    if (auto why = failure_of(policy, field, of_http); !why.empty()) return why;
  return {};
}

// Of each alternative; empty: one of them holds.
std::string DenialTeller::failures(const AuthorizationPolicy& policy, const char* name,
                                   const std::vector<LoneFields>& alternatives) {
  std::string out;
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    auto why = first_failure(policy, alternatives[i], false);
    if (why.empty()) return {};
    if (alternatives.size() == 1) return why;
    if (i >= told_alternatives) continue;
    out += (i > 0 ? "; " : "") + std::string(name) + "[" + std::to_string(i) + "] " + why;
  }
  if (alternatives.size() <= told_alternatives) return out;
  return out + "; and " + std::to_string(alternatives.size() - told_alternatives) + " more";
}

std::string DenialTeller::why_not(const AuthorizationPolicy& policy,
                                  const AuthorizationRule& rule) {
  std::vector<LoneFields> from, to;
  for (const auto& one : rule.from)
    from.push_back(fields_alone(one, &AuthorizationRule::from, source_fields));
  for (const auto& one : rule.to)
    to.push_back(fields_alone(one, &AuthorizationRule::to, operation_fields));
  const auto when = conditions_alone(rule);
  // On TCP one of them takes the whole rule out, whatever stands beside it.
  for (const auto& one : to)
    if (auto why = first_failure(policy, one, true); !why.empty()) return why;
  if (auto why = first_failure(policy, when, true); !why.empty()) return why;
  if (auto why = failures(policy, "from", from); !why.empty()) return why;
  if (auto why = failures(policy, "to", to); !why.empty()) return why;
  return first_failure(policy, when, false);
}

void DenialTeller::add_policy(const AuthorizationPolicy& policy) {
  const auto compiled = compile_alone(policy);
  if (!compiled || !compiled->http->allow.given) return;
  if (policy.rules.empty() && notes_.size() < told_rules)
    notes_.push_back(policy.metadata.ref->text() + " has no rules: it allows nobody");
  for (std::size_t i = 0; i < policy.rules.size(); ++i) {
    if (notes_.size() >= told_rules) {
      left_out_ += policy.rules.size() - i;
      return;
    }
    const auto& rule = policy.rules[i];
    notes_.push_back(rule.ref->text() + " rule[" + std::to_string(i) +
                     "]: " + why_not(policy, rule));
  }
}

std::vector<std::string> DenialTeller::tell() {
  for (const auto& resource : input_.resources)
    if (const auto* policy = std::get_if<AuthorizationPolicy>(resource.get())) add_policy(*policy);
  if (left_out_ > 0)
    notes_.push_back("and " + std::to_string(left_out_) + " more rules of ALLOW policies");
  return std::move(notes_);
}

}  // namespace

std::vector<std::string> why_nothing_allows(const CompileInput& input,
                                            const AuthorizationFacts& facts) {
  return DenialTeller(input, facts).tell();
}

}  // namespace sallyport::mesh
