#include "agent/mesh/telemetry_scope.h"

#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

using istio::Telemetry;

constexpr std::string_view gateway_name_label = "gateway.networking.k8s.io/gateway-name";

// targetRefs reach the gateways that the Gateway API made, nobody else (policyattachment.go).
bool is_selected(const Telemetry& telemetry, const istio::Proxy& proxy) {
  if (telemetry.target_refs.empty()) return istio::selects(*telemetry.selector, proxy.labels);
  const auto gateway = proxy.labels.find(gateway_name_label);
  if (gateway == proxy.labels.end()) return false;
  return std::any_of(telemetry.target_refs.begin(), telemetry.target_refs.end(),
                     [&](const istio::TargetReference& target) {
                       return target.kind == "Gateway" && target.name == gateway->second;
                     });
}

// The oldest of a namespace that selects nobody; null: there is none.
const Telemetry* telemetry_for_all(const CompileInput& input, std::string_view namespace_name,
                                   std::vector<istio::Finding>& findings) {
  const Telemetry* oldest = nullptr;
  for (const auto& resource : input.resources) {
    const auto* one = std::get_if<Telemetry>(resource.get());
    if (!one || one->metadata.namespace_name() != namespace_name || !is_for_all(*one)) continue;
    if (!oldest) {
      oldest = one;
      continue;
    }
    findings.push_back(finding(istio::Severity::warning, one->metadata, "spec.selector",
                               "IST0160: has no effect: " + oldest->metadata.ref->text() +
                                   " is older, and a namespace has one Telemetry without a "
                                   "workload selector"));
  }
  return oldest;
}

}  // namespace

std::vector<const Telemetry*> applicable_telemetries(const CompileInput& input,
                                                     std::vector<istio::Finding>& findings) {
  std::vector<const Telemetry*> out;
  const std::string& own = input.proxy.namespace_name;
  const std::string& root = input.mesh.root_namespace;
  if (const auto* of_mesh = telemetry_for_all(input, root, findings)) out.push_back(of_mesh);
  if (own != root) {
    if (const auto* of_namespace = telemetry_for_all(input, own, findings))
      out.push_back(of_namespace);
  }
  const Telemetry* first = nullptr;
  for (const auto& resource : input.resources) {
    const auto* one = std::get_if<Telemetry>(resource.get());
    if (!one || one->metadata.namespace_name() != own || is_for_all(*one)) continue;
    if (!is_selected(*one, input.proxy)) continue;
    out.push_back(one);
    if (!first) {
      first = one;
      continue;
    }
    findings.push_back(finding(istio::Severity::warning, one->metadata, "spec.selector",
                               "IST0159: selects the same workload as the older " +
                                   first->metadata.ref->text() +
                                   "; both are applied, this one last"));
  }
  return out;
}

}  // namespace sallyport::mesh
