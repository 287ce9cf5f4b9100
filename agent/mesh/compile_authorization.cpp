// AuthorizationPolicies that select this proxy's workload become rules
// (istio/istio:pilot/pkg/security/authz/builder).
#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/authorization.h"
#include "agent/mesh/authorization_rules.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/trust_domains.h"

namespace sallyport::mesh {
namespace {

using istio::AuthorizationAction;
using istio::AuthorizationPolicy;

class AuthorizationCompiler {
public:
  AuthorizationCompiler(const CompileInput& input, std::vector<istio::Finding>& findings)
      : input_(input), findings_(findings), domains_(domains_of(input.mesh)) {}

  AuthorizationPtr run();

private:
  static std::vector<std::string> domains_of(const istio::MeshConfig& mesh);
  bool selects(const std::string& namespace_name, const istio::Labels& selector) const;
  void add(const AuthorizationPolicy& policy);
  void add_rules(const AuthorizationPolicy& policy, AuthorizationRules& rules, bool tcp) const;
  bool close_what_cannot_be_evaluated(const AuthorizationPolicy& policy);
  void close(const istio::Refused& refused);
  void close(Closing closing);
  static RuleSet* set_of(const AuthorizationPolicy& policy, AuthorizationRules& rules);
  static std::shared_ptr<const AuthorizationRules> sorted(AuthorizationRules rules);

  const CompileInput& input_;
  std::vector<istio::Finding>& findings_;
  TrustDomains domains_;
  bool any_ = false;  // a policy selects the workload
  AuthorizationRules http_, tcp_;
};

std::vector<std::string> AuthorizationCompiler::domains_of(const istio::MeshConfig& mesh) {
  std::vector<std::string> out{mesh.trust_domain};
  out.insert(out.end(), mesh.trust_domain_aliases.begin(), mesh.trust_domain_aliases.end());
  return out;
}

// The root namespace's select in every namespace, with a selector too.
bool AuthorizationCompiler::selects(const std::string& namespace_name,
                                    const istio::Labels& selector) const {
  const bool in_scope =
      namespace_name == input_.mesh.root_namespace || namespace_name == input_.proxy.namespace_name;
  return in_scope && istio::selects(selector, input_.proxy.labels);
}

RuleSet* AuthorizationCompiler::set_of(const AuthorizationPolicy& policy,
                                       AuthorizationRules& rules) {
  switch (policy.action) {
    case AuthorizationAction::allow:
      return policy.dry_run ? &rules.dry_allow : &rules.allow;
    case AuthorizationAction::deny:
      return policy.dry_run ? &rules.dry_deny : &rules.deny;
    case AuthorizationAction::audit:  // never refuses: a dry run of it is the same
      return &rules.audit;
    case AuthorizationAction::custom:
      return nullptr;
  }
  return nullptr;
}

void AuthorizationCompiler::close(Closing closing) {
  any_ = true;
  http_.closing.push_back(closing);
  tcp_.closing.push_back(std::move(closing));
}

// True: nothing of the policy can be said to hold, so it denies all that it selects.
bool AuthorizationCompiler::close_what_cannot_be_evaluated(const AuthorizationPolicy& policy) {
  std::string what, name = rule_name(*policy.metadata.ref, 0);
  ResourceRefPtr ref = policy.metadata.ref;
  if (policy.action == AuthorizationAction::custom) {
    what = "action CUSTOM (provider " + policy.provider + ")";
    // As Istio names it where the provider is missing.
    name = "istio-ext-authz-" + policy.provider + '-' + name + "-deny-due-to-bad-CUSTOM-action";
  }
  for (std::size_t i = 0; i < policy.rules.size() && what.empty(); ++i) {
    what = unsupported_attribute(policy.rules[i]);
    if (what.empty()) continue;
    name = rule_name(*policy.metadata.ref, i);
    ref = policy.rules[i].ref;
  }
  if (what.empty()) return false;
  const bool denies = !policy.dry_run && policy.action != AuthorizationAction::audit;
  const std::string reason = what + " can't be evaluated here: ";
  findings_.push_back(finding(
      denies ? istio::Severity::error : istio::Severity::warning, policy.metadata, "spec",
      reason + (denies ? "the policy denies all that it selects" : "the policy has no effect"),
      ref->line));
  if (denies) close({name, reason + ref->text() + " denies all that it selects", ref});
  return true;
}

void AuthorizationCompiler::close(const istio::Refused& refused) {
  const std::string reason = "every request and connection is denied: " + refused.finding.text();
  istio::Finding said = refused.finding;
  said.reason += "; the workload is closed";
  findings_.push_back(std::move(said));
  close({rule_name(*refused.ref, 0), reason, refused.ref});
}

void AuthorizationCompiler::add_rules(const AuthorizationPolicy& policy, AuthorizationRules& rules,
                                      bool tcp) const {
  RuleSet& set = *set_of(policy, rules);
  const ResourceRef& ref = *policy.metadata.ref;
  if (!set.given || rule_name(ref, 0) < rule_name(*set.first, 0)) set.first = policy.metadata.ref;
  set.given = true;
  for (std::size_t i = 0; i < policy.rules.size(); ++i) {
    if (auto rule = compile_rule({policy, i, tcp}, domains_)) set.rules.push_back(std::move(*rule));
  }
}

void AuthorizationCompiler::add(const AuthorizationPolicy& policy) {
  const istio::Labels all;
  if (policy.has_target_refs) return;
  if (!selects(policy.metadata.namespace_name(), policy.selector.value_or(all))) return;
  if (close_what_cannot_be_evaluated(policy)) return;
  any_ = true;
  add_rules(policy, http_, false);
  add_rules(policy, tcp_, true);
}

std::shared_ptr<const AuthorizationRules> AuthorizationCompiler::sorted(AuthorizationRules rules) {
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  for (RuleSet* set : {&rules.audit, &rules.deny, &rules.allow, &rules.dry_deny, &rules.dry_allow})
    std::sort(set->rules.begin(), set->rules.end(), by_name);
  std::sort(rules.closing.begin(), rules.closing.end(), by_name);
  return std::make_shared<const AuthorizationRules>(std::move(rules));
}

AuthorizationPtr AuthorizationCompiler::run() {
  for (const auto& resource : input_.resources)
    if (const auto* policy = std::get_if<AuthorizationPolicy>(resource.get())) add(*policy);
  for (const auto& refused : input_.refused) {
    const bool is_policy = refused.kind == "AuthorizationPolicy" && refused.selector;
    if (is_policy && selects(refused.namespace_name, *refused.selector)) close(refused);
  }
  if (!any_) return nullptr;
  return std::make_shared<const Authorization>(
      Authorization{sorted(std::move(http_)), sorted(std::move(tcp_))});
}

}  // namespace

AuthorizationPtr compile_authorization(const CompileInput& input,
                                       std::vector<istio::Finding>& findings) {
  return AuthorizationCompiler(input, findings).run();
}

}  // namespace sallyport::mesh
