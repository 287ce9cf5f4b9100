#include "agent/mesh/peer_authentication.h"

#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

using istio::MutualTls;

MutualTlsChoice chosen(const istio::MutualTlsMode& mode) { return {mode.mode, mode.ref, {}}; }

MutualTlsChoice closed(const istio::Refused& refused) {
  Error error{Fault::denied, Side::local, false, "nobody is let in: " + refused.finding.text(),
              refused.ref ? refused.ref->text() : std::string()};
  return {MutualTls::strict, refused.ref, std::move(error)};
}

}  // namespace

PeerAuthentications::PeerAuthentications(const CompileInput& input)
    : root_(input.mesh.root_namespace) {
  for (const auto& resource : input.resources) {
    const auto* policy = std::get_if<istio::PeerAuthentication>(resource.get());
    if (!policy) continue;
    Scope& scope = scopes_[policy->metadata.namespace_name()];
    if (!is_for_all(*policy)) {
      scope.by_selector.push_back(policy);
    } else if (scope.for_all) {
      scope.later.push_back(policy);
    } else {
      scope.for_all = policy;
    }
  }
  for (const auto& refused : input.refused) {
    if (refused.kind != "PeerAuthentication" || !refused.selector) continue;
    Scope& scope = scopes_[refused.namespace_name];
    if (!refused.selector->empty()) {
      scope.refused_by_selector.push_back(&refused);
    } else if (!scope.refused) {
      scope.refused = &refused;
    }
  }
}

const PeerAuthentications::Scope* PeerAuthentications::find(std::string_view namespace_name) const {
  const auto at = scopes_.find(namespace_name);
  return at == scopes_.end() ? nullptr : &at->second;
}

// With a selector in the root namespace: nobody's (istio/istio:pilot/pkg/security/authn
// ComposePeerAuthentication).
const istio::PeerAuthentication* PeerAuthentications::own_policy(
    std::string_view namespace_name, const istio::Labels& labels) const {
  const Scope* const scope = namespace_name == root_ ? nullptr : find(namespace_name);
  if (!scope) return nullptr;
  const auto at =
      std::find_if(scope->by_selector.begin(), scope->by_selector.end(),
                   [&](const auto* one) { return istio::selects(*one->selector, labels); });
  return at == scope->by_selector.end() ? nullptr : *at;
}

const istio::Refused* PeerAuthentications::own_refused(std::string_view namespace_name,
                                                       const istio::Labels& labels) const {
  const Scope* const scope = namespace_name == root_ ? nullptr : find(namespace_name);
  if (!scope) return nullptr;
  for (const auto* refused : scope->refused_by_selector)
    if (istio::selects(*refused->selector, labels)) return refused;
  return nullptr;
}

// False: it says nothing, and the wider scope is asked. A broken one may have been the older.
bool PeerAuthentications::decide(const Scope* scope, MutualTlsChoice& choice) {
  if (!scope) return false;
  if (scope->refused) {
    choice = closed(*scope->refused);
    return true;
  }
  if (!scope->for_all || scope->for_all->mtls.mode == MutualTls::unset) return false;
  choice = chosen(scope->for_all->mtls);
  return true;
}

MutualTlsChoice PeerAuthentications::of_namespace(std::string_view namespace_name) const {
  MutualTlsChoice choice;
  if (!decide(find(namespace_name), choice)) decide(find(root_), choice);
  return choice;
}

MutualTlsChoice PeerAuthentications::of_workload(std::string_view namespace_name,
                                                 const istio::Labels& labels, uint16_t port) const {
  if (const auto* refused = own_refused(namespace_name, labels)) return closed(*refused);
  if (const auto* own = own_policy(namespace_name, labels)) {
    const auto at = own->port_modes.find(port);
    if (at != own->port_modes.end() && at->second.mode != MutualTls::unset)
      return chosen(at->second);
    if (own->mtls.mode != MutualTls::unset) return chosen(own->mtls);
  }
  return of_namespace(namespace_name);
}

std::vector<uint16_t> PeerAuthentications::ports_of(std::string_view namespace_name,
                                                    const istio::Labels& labels) const {
  std::vector<uint16_t> out;
  if (const auto* own = own_policy(namespace_name, labels))
    for (const auto& [port, mode] : own->port_modes) out.push_back(port);
  return out;
}

void PeerAuthentications::report(std::vector<istio::Finding>& findings) const {
  const auto say = [&](const istio::PeerAuthentication& policy, std::string reason) {
    findings.push_back(finding(istio::Severity::warning, policy.metadata, "spec.selector",
                               "has no effect: " + reason));
  };
  for (const auto& [name, scope] : scopes_) {
    for (const auto* policy : scope.later) {
      say(*policy, scope.for_all->metadata.ref->text() +
                       (name == root_ ? " is older, and the mesh has one mode"
                                      : " is older, and a namespace has one mode"));
    }
    if (name != root_) continue;
    for (const auto* policy : scope.by_selector)
      say(*policy, "in the root namespace only a policy without a selector counts");
  }
}

}  // namespace sallyport::mesh
