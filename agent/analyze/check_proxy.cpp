// What a proxy says when it compiles the resources, as far as no analyzer has said it: one proxy a
// namespace with rules, and one a workloadSelector.
#include <algorithm>
#include <set>

#include "agent/analyze/checks.h"
#include "agent/core/limits.h"
#include "agent/mesh/proxy_views.h"

namespace sallyport::analyze {
namespace {

std::set<std::pair<std::string, istio::Labels>> views(const World& world) {
  std::set<std::pair<std::string, istio::Labels>> out;
  for (const auto& object : world.objects()) {
    if (!object.resource || out.size() >= limits::validated_proxies) continue;
    if (!mesh::concerns_proxies(*object.resource)) continue;
    out.emplace(object.ref->namespace_name, istio::Labels{});
    if (const auto* selector = mesh::selector_of(*object.resource))
      out.emplace(object.ref->namespace_name, *selector);
  }
  return out;
}

// Of a Service as it lies in a repository: its address is the cluster's to give.
bool lacks_only_its_address(const World& world, const istio::Finding& finding) {
  if (finding.kind != "Service" || finding.field != "spec.ports") return false;
  const auto* object = world.find(finding.kind, finding.namespace_name, finding.name);
  const auto* service =
      object && object->resource ? std::get_if<istio::Service>(object->resource.get()) : nullptr;
  return service && service->cluster_ips.empty();
}

bool is_limit_of_proxy(const std::string& reason) {
  return reason.find("not available") != reason.npos || reason.find(" yet") != reason.npos;
}

}  // namespace

bool Checks::has_about(const istio::Finding& finding) const {
  const auto at = fields_.find({finding.kind, finding.namespace_name, finding.name});
  if (at == fields_.end()) return false;
  const std::string_view b = finding.field;
  return std::any_of(at->second.begin(), at->second.end(), [b](std::string_view a) {
    // A proxy names a rule's tls without saying which of them.
    const bool both_tls = b.ends_with(".tls") && a.find(".tls") != a.npos;
    return both_tls || a.starts_with(b) || b.starts_with(a);
  });
}

void check_proxy(Checks& checks) {
  std::set<std::string> told;
  std::vector<istio::Finding> left;
  for (const auto& [space, labels] : views(checks.world)) {
    istio::Proxy proxy;
    proxy.namespace_name = space;
    proxy.labels = labels;
    const auto compiled = mesh::compile(checks.world.input_for(proxy), nullptr, 1);
    for (const auto& finding : compiled.findings) {
      const bool known = lacks_only_its_address(checks.world, finding) ||
                         finding.namespace_name != space || finding.reason.starts_with("IST") ||
                         checks.has_about(finding);
      if (!known && told.insert(finding.text()).second) left.push_back(finding);
    }
  }
  for (const auto& finding : left) {
    const bool error = finding.severity == istio::Severity::error;
    const bool limit = is_limit_of_proxy(finding.reason);
    checks.add(error ? "SLP0901" : limit ? "SLP0903" : "SLP0902", finding, finding.reason);
  }
}

}  // namespace sallyport::analyze
