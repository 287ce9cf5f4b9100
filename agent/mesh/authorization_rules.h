// Rules of AuthorizationPolicies as authorize() walks them. Made by compile_authorization(), inside
// mesh only; immutable values.
#pragma once
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/resource_ref.h"
#include "agent/istio/security.h"
#include "agent/mesh/text_pattern.h"

namespace sallyport::mesh {

// What a condition asks about.
enum class Attribute : uint8_t {
  peer_ip,
  remote_ip,
  destination_ip,
  destination_port,
  principal,  // any URI of the peer's certificate
  sni,
  host,
  method,
  path,    // without query
  header,  // of that name
};

// Any of these; which of them are set follows from the attribute.
struct AttributeValues {
  std::vector<TextPattern> texts;
  std::vector<Cidr> blocks;
  std::vector<uint16_t> ports;
  bool empty() const { return texts.empty() && blocks.empty() && ports.empty(); }
  bool operator==(const AttributeValues&) const = default;
};

struct AttributeCondition {
  Attribute attribute = Attribute::peer_ip;
  std::string header;  // lower case
  AttributeValues values, not_values;
  bool operator==(const AttributeCondition&) const = default;
};
using AllOf = std::vector<AttributeCondition>;

struct CompiledRule {
  std::string name;  // "ns[foo]-policy[deny-all]-rule[0]"
  ResourceRefPtr ref;
  std::vector<AllOf> from, to;  // any of them; none: everybody, everything
  AllOf when;
  bool operator==(const CompiledRule& other) const;
};

// In the order of their names, in which Envoy asks them.
struct RuleSet {
  bool given = false;    // a policy of this action selects the workload, with rules or without
  ResourceRefPtr first;  // of those policies, by name: what is blamed when none of ALLOW matches
  std::vector<CompiledRule> rules;
  bool operator==(const RuleSet& other) const;
};

// What can't be evaluated and so denies everything.
struct Closing {
  std::string name, reason;
  ResourceRefPtr ref;
  bool operator==(const Closing& other) const;
};

struct AuthorizationRules {
  RuleSet audit, deny, allow, dry_deny, dry_allow;
  std::vector<Closing> closing;  // by name
  bool operator==(const AuthorizationRules&) const = default;
};

// One rule. None: it never matches (an ALLOW rule with what only HTTP has, on TCP).
// REQUIRES: unsupported_attribute() is empty.
struct RuleQuestion {
  const istio::AuthorizationPolicy& policy;
  std::size_t index = 0;
  bool tcp = false;
};
class TrustDomains;
std::optional<CompiledRule> compile_rule(const RuleQuestion& question, const TrustDomains& domains);
// "requestPrincipals": what of the rule can't be evaluated here; empty: all can.
std::string unsupported_attribute(const istio::AuthorizationRule& rule);
std::string rule_name(const ResourceRef& policy, std::size_t index);

}  // namespace sallyport::mesh
