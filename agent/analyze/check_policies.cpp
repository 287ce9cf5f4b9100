// PeerAuthentications and AuthorizationPolicies: what they name, which of them never count, and
// rules about clients' identities where clients need have none.
#include <algorithm>

#include "agent/analyze/checks.h"
#include "agent/mesh/authorization_rules.h"
#include "agent/mesh/peer_authentication.h"

namespace sallyport::analyze {
namespace {

using Policy = Typed<istio::AuthorizationPolicy>;
using istio::AuthorizationAction;
using istio::MutualTls;

bool is_pattern_of(const std::string& pattern, const std::string& name) {
  if (pattern.starts_with('*')) return name.ends_with(pattern.substr(1));
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

// Only where Namespaces are among the documents. One exists also where something lies in it.
void check_namespaces(Checks& checks, const Policy& policy) {
  if (!checks.world.has_kind("Namespace")) return;
  const auto is_there = [&](const std::string& pattern) {
    const auto& all = checks.world.objects();
    return is_pattern_of(pattern, "default") ||
           std::any_of(all.begin(), all.end(), [&](const Object& one) {
             const auto& ref = *one.ref;
             return is_pattern_of(pattern, ref.kind == "Namespace" ? ref.name : ref.namespace_name);
           });
  };
  for (std::size_t i = 0; i < policy->rules.size(); i++) {
    const auto& from = policy->rules[i].from;
    for (std::size_t j = 0; j < from.size(); j++) {
      const auto check = [&](const std::vector<std::string>& names, const char* list) {
        for (std::size_t k = 0; k < names.size(); k++) {
          if (is_there(names[k])) continue;
          const auto source = item(item("spec.rules", i) + ".from", j) + ".source.";
          checks.add("IST0101", *policy.object, source + item(list, k),
                     "Referenced namespace not found: \"" + names[k] + "\"");
        }
      };
      check(from[j].namespaces.values, "namespaces");
      check(from[j].namespaces.not_values, "notNamespaces");
    }
  }
}

// What of a rule asks who the client is: whether it names whom it is for, or whom it isn't.
struct IdentityUse {
  bool positive = false, negative = false;
};

IdentityUse identity_use(const istio::AuthorizationRule& rule) {
  IdentityUse out;
  const auto add = [&](const istio::RuleValues& values) {
    out.positive = out.positive || !values.values.empty();
    out.negative = out.negative || !values.not_values.empty();
  };
  for (const auto& source : rule.from) {
    add(source.principals);
    add(source.namespaces);
    add(source.service_accounts);
    add(source.trust_domains);
  }
  for (const auto& condition : rule.when) {
    const std::string_view key = condition.key;
    if (key == "source.principal" || key == "source.namespace" || key == "source.trustDomain" ||
        key == "source.serviceAccount")
      add(condition.values);
  }
  return out;
}

// What a client without an identity makes of the rule, where such are let in; empty: nothing.
std::string escape(const istio::AuthorizationPolicy& policy, const IdentityUse& use,
                   MutualTls mode) {
  if (!use.positive && !use.negative) return {};
  if (mode == MutualTls::disable) {
    return "no client has an identity there: what the rule asks of it is met by nobody, and its "
           "not-twins by everybody";
  }
  if (mode != MutualTls::permissive) return {};
  if (policy.action == AuthorizationAction::deny && use.positive)
    return "a client in plaintext has no identity, and is not denied";
  if (policy.action == AuthorizationAction::allow && use.negative && !use.positive)
    return "a client in plaintext has no identity, and is allowed";
  return {};
}

class PolicyModes {
public:
  explicit PolicyModes(const World& world)
      : world_(world), input_(world.input_for({})), policies_(input_) {}

  const mesh::PeerAuthentications& policies() const { return policies_; }
  // The weakest of the workloads that the policy selects: of its pods where there are any, else of
  // a workload with just the selector's labels.
  mesh::MutualTlsChoice weakest(const istio::AuthorizationPolicy& policy) const {
    const auto& space = policy.metadata.namespace_name();
    const istio::Labels selector = policy.selector.value_or(istio::Labels());
    auto out = policies_.of_workload(space, selector, 0);
    bool first = true;
    for (const auto* workload : world_.selected(selector, space)) {
      auto choice = policies_.of_workload(space, workload->labels, 0);
      if (first || choice.mode < out.mode) out = std::move(choice);
      first = false;
    }
    return out;
  }

private:
  const World& world_;
  mesh::CompileInput input_;
  mesh::PeerAuthentications policies_;
};

void check_identities(Checks& checks, const Policy& policy, const PolicyModes& modes) {
  if (policy->has_target_refs) return;
  const auto choice = modes.weakest(*policy.value);
  const bool disabled = choice.mode == MutualTls::disable;
  const std::string where = std::string("mutual TLS is ") + (disabled ? "DISABLE" : "PERMISSIVE") +
                            (choice.from ? " by " + choice.from->text() : " by default") + ": ";
  for (std::size_t i = 0; i < policy->rules.size(); i++) {
    const auto reason = escape(*policy.value, identity_use(policy->rules[i]), choice.mode);
    if (!reason.empty())
      checks.add("SLP0701", *policy.object, item("spec.rules", i), where + reason);
  }
}

void check_evaluation(Checks& checks, const Policy& policy) {
  const bool denies = !policy->dry_run && policy->action != AuthorizationAction::audit;
  const auto add = [&](const std::string& field, const std::string& what) {
    checks.add(denies ? "SLP0702" : "SLP0903", *policy.object, field,
               what + (denies ? " can't be evaluated here: the policy denies all that it selects"
                              : " can't be evaluated here: the policy has no effect"));
  };
  if (policy->action == AuthorizationAction::custom) return add("spec.action", "CUSTOM");
  for (std::size_t i = 0; i < policy->rules.size(); i++) {
    const auto what = mesh::unsupported_attribute(policy->rules[i]);
    if (!what.empty()) add(item("spec.rules", i), what);
  }
}

}  // namespace

void check_policies(Checks& checks) {
  const PolicyModes modes(checks.world);
  std::vector<istio::Finding> without_effect;
  modes.policies().report(without_effect);
  for (const auto& finding : without_effect)
    checks.add("IST0167", finding, "The policy has no impact: " + finding.reason + ".");
  for (const auto& policy : checks.world.all<istio::AuthorizationPolicy>()) {
    check_namespaces(checks, policy);
    check_evaluation(checks, policy);
    check_identities(checks, policy, modes);
  }
}

}  // namespace sallyport::analyze
