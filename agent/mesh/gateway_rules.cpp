#include "agent/mesh/gateway_rules.h"

#include <algorithm>
#include <set>

#include "agent/istio/labels.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

// Whether every name that `host` stands for is one of `wider`'s.
bool is_within(std::string_view host, std::string_view wider) {
  if (!is_wildcard(wider)) return host == wider;
  const auto suffix = wider.substr(1);
  if (!is_wildcard(host)) return host.ends_with(suffix);
  return host.size() >= wider.size() && host.substr(1).ends_with(suffix);
}

bool names_gateway(const std::vector<std::string>& written, std::string_view namespace_name,
                   std::string_view gateway) {
  return std::any_of(written.begin(), written.end(), [&](const std::string& one) {
    return istio::gateway_name(one, namespace_name) == gateway;
  });
}

// With gateways named, they alone decide (istio/istio:pilot/pkg/networking/core/route,
// sourceMatchHTTP).
bool holds_for(const istio::HttpMatch& match, const istio::Proxy& proxy,
               std::string_view namespace_name, std::string_view gateway) {
  if (!match.gateways.empty()) return names_gateway(match.gateways, namespace_name, gateway);
  if (!match.source_namespace.empty() && match.source_namespace != proxy.namespace_name)
    return false;
  return istio::selects(match.source_labels, proxy.labels);
}

// 0: to its own namespace alone; 1: to some by name; 2: to everybody.
int export_rank(const istio::VirtualService& service, const istio::MeshConfig& mesh) {
  const auto& to =
      service.export_to.empty() ? mesh.default_virtual_service_export_to : service.export_to;
  if (to.empty() || std::find(to.begin(), to.end(), "*") != to.end()) return 2;
  return to.size() == 1 && to.front() == "." ? 0 : 1;
}

}  // namespace

GatewayRules::GatewayRules(const CompileInput& input, std::vector<istio::Finding>& findings)
    : input_(input) {
  const Delegation delegation(input);
  std::vector<const istio::VirtualService*> all;
  for (const auto& resource : input.resources) {
    const auto* service = std::get_if<istio::VirtualService>(resource.get());
    if (!service || service->hosts.empty() || service->gateways.empty()) continue;
    if (exported(service->export_to, input.mesh.default_virtual_service_export_to,
                 service->metadata.namespace_name(), input.proxy.namespace_name))
      all.push_back(service);
  }
  std::stable_sort(all.begin(), all.end(), [&](const auto* a, const auto* b) {
    return export_rank(*a, input.mesh) < export_rank(*b, input.mesh);
  });
  for (const auto* service : all) add(*service, delegation, findings);
}

void GatewayRules::add(const istio::VirtualService& service, const Delegation& delegation,
                       std::vector<istio::Finding>& findings) {
  const auto& space = service.metadata.namespace_name();
  std::set<std::string> names;
  for (const auto& written : service.gateways) names.insert(istio::gateway_name(written, space));
  names.erase("mesh");
  for (const auto& name : names) {
    const auto holds = [&](const istio::HttpMatch& match) {
      return holds_for(match, input_.proxy, space, name);
    };
    Bound& bound = by_gateway_[name];
    const auto index = bound.services.size();
    BoundService one{delegation.rules_of(service, holds, findings), {}};
    bool wildcard = false;
    for (const auto& written : service.hosts) {
      auto host = expand_short_name(written, space, input_.mesh.cluster_domain);
      if (is_wildcard(host))
        wildcard = true;
      else
        bound.by_name[host].push_back(index);
      one.hosts.push_back(std::move(host));
    }
    if (wildcard) bound.wildcards.push_back(index);
    bound.services.push_back(std::move(one));
  }
}

// Of thousands with a name each, only those are looked at whose name the server has.
std::vector<const BoundService*> GatewayRules::of(const BoundServer& server) const {
  std::vector<const BoundService*> out;
  const auto found = by_gateway_.find(server.gateway_name);
  if (found == by_gateway_.end()) return out;
  const Bound& bound = found->second;
  const auto& hosts = server.hosts;
  const bool by_name = std::none_of(hosts.begin(), hosts.end(),
                                    [](const auto& host) { return is_wildcard(host.name); });
  if (!by_name) {
    for (const auto& one : bound.services) out.push_back(&one);
    return out;
  }
  std::set<std::size_t> chosen(bound.wildcards.begin(), bound.wildcards.end());
  for (const auto& host : hosts) {
    const auto at = bound.by_name.find(host.name);
    if (at != bound.by_name.end()) chosen.insert(at->second.begin(), at->second.end());
  }
  for (const std::size_t index : chosen) out.push_back(&bound.services[index]);
  return out;
}

std::vector<std::pair<std::string, const istio::Refused*>> GatewayRules::refused(
    std::string_view gateway_name) const {
  std::vector<std::pair<std::string, const istio::Refused*>> out;
  for (const auto& one : input_.refused) {
    if (one.kind != "VirtualService") continue;
    if (!names_gateway(one.gateways, one.namespace_name, gateway_name)) continue;
    for (const auto& name : one.hosts)
      out.emplace_back(expand_short_name(name, one.namespace_name, input_.mesh.cluster_domain),
                       &one);
  }
  return out;
}

std::vector<std::string> common_hosts(const BoundServer& server,
                                      const std::vector<std::string>& hosts,
                                      std::string_view namespace_name) {
  std::vector<std::string> out;
  for (const auto& own : server.hosts) {
    if (!admits(own, namespace_name)) continue;
    for (const auto& host : hosts) {
      const bool within = is_within(host, own.name);
      if (!within && !is_within(own.name, host)) continue;
      const auto& narrower = within ? host : own.name;
      if (std::find(out.begin(), out.end(), narrower) == out.end()) out.push_back(narrower);
    }
  }
  return out;
}

std::vector<std::string> common_hosts(const BoundServer& server, const BoundService& bound) {
  return common_hosts(server, bound.hosts, bound.service().metadata.namespace_name());
}

bool has_host(const BoundServer& server, std::string_view host) {
  return std::any_of(server.hosts.begin(), server.hosts.end(),
                     [host](const istio::ServerHost& own) { return is_within(host, own.name); });
}

bool holds_behind(const istio::L4Match& match, const istio::VirtualService& service,
                  const BoundServer& server) {
  if (match.port && match.port != server.server->port) return false;
  return match.gateways.empty() ||
         names_gateway(match.gateways, service.metadata.namespace_name(), server.gateway_name);
}

}  // namespace sallyport::mesh
