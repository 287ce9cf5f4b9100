// AuthorizationPolicy (istio-api.md 1.8): all but its rules, which authorization_rule.cpp reads.
#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr Choice actions[] = {{"ALLOW", 0}, {"DENY", 1}, {"AUDIT", 2}, {"CUSTOM", 3}};

}  // namespace

TargetReference decode_target_reference(Fields& target) {
  TargetReference out{target.text("group"), target.text("kind"), target.text("name")};
  if (out.name.empty()) target.error("name", "targetRef name must be set");
  if (!target.text("namespace").empty()) {
    target.error("namespace",
                 "targetRef namespace must not be set; cross namespace referencing is not "
                 "supported");
  }
  const std::string &group = out.group, &kind = out.kind;
  const bool allowed =
      (kind == "Service" && (group.empty() || group == "core")) ||
      (kind == "ServiceEntry" && group == "networking.istio.io") ||
      ((kind == "Gateway" || kind == "GatewayClass") && group == "gateway.networking.k8s.io");
  if (!allowed) {
    target.error("kind", "targetRef must be to a Service, ServiceEntry, Gateway or GatewayClass " +
                             ("but was " + quoted(group + '/' + kind)));
  }
  return out;
}

namespace {

void decode_targets(AuthorizationPolicy& policy, Fields& spec) {
  spec.object(
      "selector",
      [&](Fields& selector) { policy.selector = decode_selector(selector, "matchLabels"); },
      Unknown::refuse);
  int given = policy.selector ? 1 : 0;
  if (spec.object("targetRef", decode_target_reference, Unknown::refuse)) {
    policy.has_target_refs = true;
    ++given;
  }
  bool listed = false;
  spec.each(
      "targetRefs",
      [&](Fields& target) {
        listed = true;
        decode_target_reference(target);
      },
      Unknown::refuse);
  if (listed) {
    policy.has_target_refs = true;
    ++given;
  }
  if (given > 1) {
    spec.error("selector", "only one of targetRefs or workloadSelector can be set");
  }
}

constexpr std::string_view never_triggered =
    " action without `rules` is meaningless as it will never be triggered, add an empty rule `{}` "
    "if you want it be triggered for every request";

void check_action(const AuthorizationPolicy& policy, bool has_provider, Fields& spec) {
  const bool custom = policy.action == AuthorizationAction::custom;
  if (policy.rules.empty() && (custom || policy.action == AuthorizationAction::deny)) {
    spec.error("rules", (custom ? "CUSTOM" : "DENY") + std::string(never_triggered));
  }
  if (custom && policy.provider.empty()) {
    spec.error("provider", "`provider.name` must not be empty");
  }
  if (!custom && has_provider) {
    spec.error("provider", "`provider` must not be with non CUSTOM action, found " +
                               std::string(actions[static_cast<int>(policy.action)].name));
  }
}

void decode_rules(AuthorizationPolicy& policy, Fields& spec) {
  const Node* const rules = spec.find("rules");
  if (rules && rules->kind == Node::Kind::sequence) {
    std::size_t index = 0;
    for (const Node::Entry& rule : rules->entries) {
      if (rule.value->kind == Node::Kind::null) {
        spec.error("rules", "`rule` must not be nil, found at rule " + std::to_string(index));
      }
      ++index;
    }
  }
  std::size_t index = 0;
  spec.each(
      "rules",
      [&](Fields& rule) {
        policy.rules.push_back(decode_authorization_rule(rule, policy, index++));
      },
      Unknown::refuse);
}

void decode_spec(AuthorizationPolicy& policy, Fields& spec) {
  decode_targets(policy, spec);
  policy.action = static_cast<AuthorizationAction>(spec.choice("action", actions).value_or(0));
  const bool has_provider = spec.object(
      "provider", [&](Fields& provider) { policy.provider = provider.text("name"); },
      Unknown::refuse);
  decode_rules(policy, spec);
  check_action(policy, has_provider, spec);
}

void decode_dry_run(AuthorizationPolicy& policy, Fields& document) {
  const auto dry_run = policy.metadata.annotations.find("istio.io/dry-run");
  if (dry_run == policy.metadata.annotations.end()) return;
  if (policy.action != AuthorizationAction::allow && policy.action != AuthorizationAction::deny) {
    return document.error("metadata",
                          "the annotation istio.io/dry-run currently only supports action "
                          "ALLOW/DENY");
  }
  const auto value = go_boolean(dry_run->second);
  if (!value) {
    document.error("metadata",
                   "annotation istio.io/dry-run: " + quoted(dry_run->second) + " is no boolean");
  }
  policy.dry_run = value.value_or(false);
}

}  // namespace

// An unknown field refuses the whole spec: a misspelt `action` would turn a DENY into an ALLOW.
AuthorizationPolicy decode_authorization_policy(Metadata metadata, Fields& document) {
  AuthorizationPolicy policy;
  policy.metadata = std::move(metadata);
  document.object(
      "spec", [&](Fields& spec) { decode_spec(policy, spec); }, Unknown::refuse);
  decode_dry_run(policy, document);
  document.ignore({"status"});
  return policy;
}

}  // namespace sallyport::istio
