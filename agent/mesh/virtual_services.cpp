#include "agent/mesh/virtual_services.h"

#include <algorithm>
#include <set>

#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

bool imported(const istio::VirtualService& service, const SidecarScope& scope,
              const CompileInput& input) {
  const auto& space = service.metadata.namespace_name();
  return scope.sees_all() ||
         std::any_of(service.hosts.begin(), service.hosts.end(), [&](const std::string& host) {
           return scope.sees_rules_of(expand_short_name(host, space, input.mesh.cluster_domain),
                                      space);
         });
}

}  // namespace

VirtualServiceIndex::VirtualServiceIndex(const CompileInput& input, const SidecarScope& scope,
                                         std::vector<istio::Finding>& findings)
    : input_(input), findings_(findings) {
  if (input.proxy.type == istio::Proxy::Type::router) return;  // gateway_rules.h has a router's
  const Delegation delegation(input);
  for (const auto& resource : input.resources) {
    const auto* service = std::get_if<istio::VirtualService>(resource.get());
    if (!service || service->hosts.empty() || !istio::is_of_mesh(*service)) continue;
    const auto& from = service->metadata.namespace_name();
    if (exported(service->export_to, input.mesh.default_virtual_service_export_to, from,
                 input.proxy.namespace_name) &&
        imported(*service, scope, input))
      add(*service, delegation);
  }
}

void VirtualServiceIndex::add(const istio::VirtualService& service, const Delegation& delegation) {
  const auto& about = service.metadata;
  const auto holds = [this](const istio::HttpMatch& match) {
    return for_this_sidecar(match, input_.proxy, true);
  };
  auto known = std::make_unique<ServiceRules>(delegation.rules_of(service, holds, findings_));
  std::set<std::string> own;  // a short name and its long form are one host, not a conflict
  for (const auto& written : service.hosts) {
    const auto host =
        expand_short_name(written, about.namespace_name(), input_.mesh.cluster_domain);
    if (!own.insert(host).second) continue;
    const ServiceRules* const value = known.get();
    if (add_host(by_host_, host, value)) continue;
    findings_.push_back(
        finding(istio::Severity::error, about, "spec.hosts",
                "IST0109: an older VirtualService of the gateway mesh has the host " + host +
                    "; this one has no effect for it"));
  }
  all_.push_back(std::move(known));
}

std::vector<BrokenHost> VirtualServiceIndex::broken() const {
  std::vector<BrokenHost> out;
  if (input_.proxy.type == istio::Proxy::Type::router) return out;
  for (const auto& refused : input_.refused) {
    if (refused.kind != "VirtualService" || !istio::is_of_mesh(refused.gateways)) continue;
    for (const auto& name : refused.hosts) {
      auto host = expand_short_name(name, refused.namespace_name, input_.mesh.cluster_domain);
      const auto& table = is_wildcard(host) ? by_host_.suffix : by_host_.exact;
      const bool taken = table.contains(is_wildcard(host) ? host.substr(1) : host);
      // `*` is no host of a sidecar's VirtualService (1.4): that is why it was refused.
      if (!host.empty() && host != "*" && !taken) out.push_back({std::move(host), &refused});
    }
  }
  return out;
}

void VirtualServiceIndex::close(const std::string& host, ClusterPtr closed) {
  auto known = std::make_unique<ServiceRules>();
  known->closed = std::move(closed);
  const ServiceRules* const value = known.get();
  add_host(by_host_, host, value);
  all_.push_back(std::move(known));
}

std::unordered_set<std::string> VirtualServiceIndex::destinations() const {
  std::unordered_set<std::string> out;
  const auto add = [&](const istio::Destination& to, const std::string& space) {
    out.insert(expand_short_name(to.host, space, input_.mesh.cluster_domain));
  };
  for (const auto& known : all_) {
    if (!known->service) continue;
    for (std::size_t i = 0; i < known->http.size(); ++i) {
      const auto& space = known->from[i]->namespace_name;
      for (const auto& to : known->http[i].route) add(to.destination, space);
      for (const auto& mirror : known->http[i].mirrors) add(mirror.destination, space);
    }
    const auto& space = known->service->metadata.namespace_name();
    for (const auto* rules : {&known->service->tls, &known->service->tcp}) {
      for (const auto& rule : *rules)
        for (const auto& to : rule.route) add(to.destination, space);
    }
  }
  return out;
}

const ServiceRules* VirtualServiceIndex::find(std::string_view host) const {
  const ServiceRules* const* found = nullptr;
  if (!is_wildcard(host)) {
    found = by_host_.find(host);
  } else {  // A wildcard service: its own wildcard, or a wider one.
    for (std::size_t i = 1; i <= host.size() && !found; i++) {
      const auto at = by_host_.suffix.find(host.substr(i));
      if (at != by_host_.suffix.end()) found = &at->second;
    }
  }
  return found ? *found : nullptr;
}

std::vector<std::pair<std::string, const ServiceRules*>> VirtualServiceIndex::names() const {
  std::vector<std::pair<std::string, const ServiceRules*>> out;
  for (const auto& [host, known] : by_host_.exact)
    if (!known->closed) out.emplace_back(host, known);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace sallyport::mesh
