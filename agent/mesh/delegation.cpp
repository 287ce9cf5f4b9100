#include "agent/mesh/delegation.h"

#include "agent/mesh/delegates.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

// Keeps the matches that hold; false when the rule never does.
bool narrow(istio::HttpRoute& rule, const Delegation::Holds& holds) {
  const bool always = rule.match.empty();
  std::erase_if(rule.match, [&](const auto& match) { return !holds(match); });
  return always || !rule.match.empty();
}

}  // namespace

Delegation::Delegation(const CompileInput& input) : input_(input) {
  for (const auto& resource : input.resources) {
    const auto* service = std::get_if<istio::VirtualService>(resource.get());
    if (!service || !service->hosts.empty()) continue;
    const auto& about = service->metadata;
    delegates_.try_emplace({about.namespace_name(), about.name()}, service);
  }
}

// Null: it is not there, or not exported to the root's namespace.
const istio::VirtualService* Delegation::find(const istio::VirtualService& root,
                                              const istio::Delegate& wanted) const {
  const auto& own = root.metadata.namespace_name();
  const auto& space = wanted.namespace_name;
  const auto at = delegates_.find({space.empty() ? own : space, wanted.name});
  if (at == delegates_.end()) return nullptr;
  const bool seen = exported(at->second->export_to, input_.mesh.default_virtual_service_export_to,
                             at->second->metadata.namespace_name(), own);
  return seen ? at->second : nullptr;
}

ServiceRules Delegation::rules_of(const istio::VirtualService& service, const Holds& holds,
                                  std::vector<istio::Finding>& findings) const {
  ServiceRules out;
  out.service = &service;
  const auto add_rule = [&](istio::HttpRoute rule, const ResourceRefPtr& from) {
    if (!narrow(rule, holds)) return;
    out.http.push_back(std::move(rule));
    out.from.push_back(from);
  };
  for (const auto& rule : service.http) {
    if (!rule.delegate) {
      add_rule(rule, service.metadata.ref);
      continue;
    }
    const auto* delegate = find(service, *rule.delegate);
    if (!delegate) {  // Measured: requests fall through to the next rule.
      findings.push_back(finding(istio::Severity::warning, service.metadata, "spec.http",
                                 "the delegate " + rule.delegate->name +
                                     " is not there or not exported here: the rule has no effect",
                                 rule.line));
      continue;
    }
    for (auto& one : merge_delegate(rule, delegate->http))
      add_rule(std::move(one), delegate->metadata.ref);
  }
  return out;
}

}  // namespace sallyport::mesh
