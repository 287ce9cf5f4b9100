#include "agent/mesh/sidecar_scope.h"

#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

// Whether every name that `host` stands for is one that `pattern` stands for too; both may be
// wildcards.
bool subset_of(std::string_view host, std::string_view pattern) {
  if (!is_wildcard(pattern)) return host == pattern;
  const auto suffix = pattern.substr(1);
  if (suffix.empty()) return true;
  if (is_wildcard(host)) host.remove_prefix(1);
  return host.ends_with(suffix) && (host.size() > suffix.size() || host == suffix);
}

bool is_ours(const istio::Sidecar& sidecar, const CompileInput& input) {
  return sidecar.metadata.namespace_name() == input.proxy.namespace_name;
}

}  // namespace

const istio::Sidecar* chosen_sidecar(const CompileInput& input) {
  if (input.proxy.type == istio::Proxy::Type::router) return nullptr;
  const istio::Sidecar *selecting = nullptr, *of_namespace = nullptr, *of_mesh = nullptr;
  for (const auto& resource : input.resources) {
    const auto* sidecar = std::get_if<istio::Sidecar>(resource.get());
    if (!sidecar) continue;
    if (sidecar->workload_selector) {
      if (!selecting && is_ours(*sidecar, input) &&
          istio::selects(*sidecar->workload_selector, input.proxy.labels))
        selecting = sidecar;
      continue;
    }
    if (!of_namespace && is_ours(*sidecar, input)) of_namespace = sidecar;
    if (!of_mesh && sidecar->metadata.namespace_name() == input.mesh.root_namespace)
      of_mesh = sidecar;
  }
  if (selecting) return selecting;
  return of_namespace ? of_namespace : of_mesh;
}

SidecarScope::SidecarScope(const CompileInput& input) : sidecar_(chosen_sidecar(input)) {
  allow_any_ = input.mesh.outbound_traffic_policy == istio::OutboundMode::allow_any;
  if (input.proxy.type == istio::Proxy::Type::router) return;
  if (sidecar_ && sidecar_->allow_any) allow_any_ = *sidecar_->allow_any;
  const bool own = sidecar_ && is_ours(*sidecar_, input);
  for (const auto& refused : input.refused) {
    if (refused.kind != "Sidecar") continue;
    const istio::Labels selector = refused.selector.value_or(istio::Labels());
    const bool ours = refused.namespace_name == input.proxy.namespace_name &&
                      istio::selects(selector, input.proxy.labels);
    const bool of_mesh =
        !own && selector.empty() && refused.namespace_name == input.mesh.root_namespace;
    if (!ours && !of_mesh) continue;
    refused_ = &refused;
    allow_any_ = false;
    break;
  }
  if (!sidecar_) return;
  sees_all_ = sidecar_->egress.empty();
  for (const auto& egress : sidecar_->egress) {
    EgressListener listener;
    listener.port = egress.port ? egress.port->number : 0;
    if (egress.port && listener.port == 0) continue;  // of a unix socket: not captured
    for (const auto& text : egress.hosts) {
      const auto slash = text.find('/');
      Host host{text.substr(0, slash), text.substr(slash + 1), text.starts_with('~')};
      if (host.excluded) host.namespace_name.erase(0, 1);
      if (host.namespace_name.empty()) host.namespace_name = "*";
      if (host.namespace_name == ".") host.namespace_name = input.proxy.namespace_name;
      listener.hosts.push_back(std::move(host));
    }
    listeners_.push_back(std::move(listener));
  }
}

// `either_way`: a VirtualService for `*.com` is seen by who imports a.com, and the other way round.
bool SidecarScope::imports(const EgressListener& listener, std::string_view host,
                           std::string_view namespace_name, bool either_way) {
  bool in = false;
  for (const auto& one : listener.hosts) {
    if (one.namespace_name != "*" && one.namespace_name != namespace_name) continue;
    const bool fits =
        subset_of(host, one.name) || (either_way && !one.excluded && subset_of(one.name, host));
    if (fits && one.excluded) return false;
    in = in || fits;
  }
  return in;
}

bool SidecarScope::sees_service(std::string_view host, std::string_view namespace_name,
                                uint16_t port) const {
  if (sees_all()) return true;
  const EgressListener* rest = nullptr;
  for (const auto& listener : listeners_) {
    if (listener.port == port) return imports(listener, host, namespace_name, false);
    if (listener.port == 0) rest = &listener;
  }
  return rest && imports(*rest, host, namespace_name, false);
}

bool SidecarScope::sees_rules_of(std::string_view host, std::string_view namespace_name) const {
  if (sees_all()) return true;
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const auto& listener) {
    return imports(listener, host, namespace_name, true);
  });
}

}  // namespace sallyport::mesh
