#include "agent/mesh/auto_mtls.h"

#include <algorithm>
#include <set>

#include "agent/core/spiffe.h"

namespace sallyport::mesh {
namespace {

bool is_external(const KnownService& service) {
  if (service.service) return !service.service->external_name.empty();
  return service.entry->location == istio::Location::mesh_external;
}

// In each of the mesh's trust domains, where it is a SPIFFE id.
void add_expanded(const std::string& name, const istio::MeshConfig& mesh,
                  std::set<std::string>& out) {
  out.insert(name);
  const auto domain = trust_domain_of(name);
  if (domain.empty()) return;
  const auto rest = name.substr(spiffe_prefix.size() + domain.size());
  for (const auto& alias : mesh.trust_domain_aliases)
    out.insert(std::string(spiffe_prefix) + alias + rest);
}

}  // namespace

AutoMtlsGate auto_mtls_gate(const KnownService& service, const istio::ServicePort& port,
                            bool dialled, const ServedBy& served, ServiceWorkloads& workloads) {
  if (is_external(service)) return {AutoMtls::external, nullptr};
  if (!workloads.input().mesh.enable_auto_mtls) return {AutoMtls::switched_off, nullptr};
  if (dialled) {
    bool any = false;
    for (const auto& one : served.workloads) {
      if (!target_port(one, port, service.service != nullptr)) continue;
      if (!one.speaks_mesh_tls) return {AutoMtls::not_everybody, one.metadata->ref};
      any = true;
    }
    if (!any) return {AutoMtls::nobody_known, nullptr};
  }
  auto choice = workloads.policies().of_namespace(service.metadata->namespace_name());
  if (choice.mode == istio::MutualTls::disable) return {AutoMtls::namespace_disables, choice.from};
  return {dialled ? AutoMtls::all : AutoMtls::by_endpoint, choice.from};
}

EndpointMtls endpoint_mtls(const ServiceWorkload& workload, uint16_t port,
                           const PeerAuthentications& policies) {
  if (!workload.speaks_mesh_tls) return {};
  return {true,
          policies.of_workload(workload.metadata->namespace_name(), workload.entry.labels, port)};
}

TlsOrigination mesh_origination(const KnownService& service, uint16_t port, std::string_view subset,
                                const ServedBy& served, const istio::MeshConfig& mesh) {
  TlsOrigination out;
  out.mode = Originate::istio_mutual;
  out.sni = "outbound_." + std::to_string(port) + "_." + std::string(subset) + "_." + service.host;
  std::set<std::string> names(served.identities.begin(), served.identities.end());
  for (const auto& name : service.names) add_expanded(name, mesh, names);
  out.names.assign(names.begin(), names.end());
  out.certificate = "default";
  out.roots = "ROOTCA";
  return out;
}

}  // namespace sallyport::mesh
