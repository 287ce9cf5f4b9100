// What protects a workload: PeerAuthentication and AuthorizationPolicy (istio-api.md 1.7, 1.8).
#pragma once
#include <boost/container/flat_map.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/istio/metadata.h"

namespace sallyport::istio {

enum class MutualTls : uint8_t { unset, disable, permissive, strict };

struct MutualTlsMode {
  MutualTls mode = MutualTls::unset;
  ResourceRefPtr ref;  // the resource, at the line of the mode; null: not given
};

struct PeerAuthentication {
  Metadata metadata;
  std::optional<Labels> selector;  // matchLabels
  MutualTlsMode mtls;
  boost::container::flat_map<uint16_t, MutualTlsMode> port_modes;  // by the container's port
};

// Whether it is of the whole namespace (of the mesh, in the root namespace): an empty selector is
// none.
inline bool is_for_all(const PeerAuthentication& policy) {
  return !policy.selector || policy.selector->empty();
}

// One field of a rule with its not-twin: any of `values` (none: everything), and none of
// `not_values`.
struct RuleValues {
  std::vector<std::string> values, not_values;
  bool empty() const { return values.empty() && not_values.empty(); }
};

struct RuleSource {
  RuleValues principals, request_principals, namespaces, service_accounts, trust_domains, ip_blocks,
      remote_ip_blocks;
};

struct RuleOperation {
  RuleValues hosts, ports, methods, paths;
};

struct RuleCondition {
  std::string key;
  RuleValues values;
  int line = 0;
};

struct AuthorizationRule {
  std::vector<RuleSource> from;     // empty: everybody
  std::vector<RuleOperation> to;    // empty: everything
  std::vector<RuleCondition> when;  // all of them
  ResourceRefPtr ref;               // the policy, at the line of the rule
};

enum class AuthorizationAction : uint8_t { allow, deny, audit, custom };

struct AuthorizationPolicy {
  Metadata metadata;
  std::optional<Labels> selector;
  // targetRefs are for gateways, waypoints and services: such a policy selects no sidecar.
  bool has_target_refs = false;
  AuthorizationAction action = AuthorizationAction::allow;
  std::string provider;  // of CUSTOM
  std::vector<AuthorizationRule> rules;
  bool dry_run = false;  // istio.io/dry-run: "true"
};

}  // namespace sallyport::istio
