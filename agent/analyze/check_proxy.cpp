// What a proxy says when it compiles the resources, as far as no analyzer has said it: one sidecar
// a namespace with rules, and one a workloadSelector; one gateway's proxy a set of pods.
#include <algorithm>
#include <set>

#include "agent/analyze/checks.h"
#include "agent/mesh/proxy_views.h"

namespace sallyport::analyze {
namespace {

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

// "IST0145" of "server https is skipped: IST0145: on port ..."; empty: no code that only compiling
// finds.
std::string_view code_in(std::string_view reason) {
  for (const std::string_view code : {"IST0145", "IST0157"})
    if (reason.find(code) != reason.npos) return code;
  return {};
}

std::string without_code(std::string reason, std::string_view code) {
  return reason.erase(reason.find(code), code.size() + 2);  // with ": "
}

std::string words_of(std::string_view code, const istio::Finding& finding) {
  const auto reason = without_code(finding.reason, code);
  if (code == "IST0145") return "Conflict with gateways: " + reason;
  return "The Telemetry " + finding.name + " in namespace \"" + finding.namespace_name +
         "\" with empty providers will be ignored: " + reason;
}

// What proxies say, each thing once.
class Told {
public:
  explicit Told(Checks& checks) : checks_(checks) {}
  void look_as(const istio::Proxy& proxy);
  void report();

private:
  bool is_known(const istio::Finding& finding, const istio::Proxy& proxy) const;

  Checks& checks_;
  std::set<std::string> told_;
  std::vector<istio::Finding> left_;
};

bool Told::is_known(const istio::Finding& finding, const istio::Proxy& proxy) const {
  if (lacks_only_its_address(checks_.world, finding)) return true;
  const bool coded = !code_in(finding.reason).empty();
  if (!coded && finding.reason.starts_with("IST")) return true;
  // No analyzer looks into these; they hold for proxies of every kind.
  if (finding.kind == "Telemetry") return checks_.has_about(finding);
  if (proxy.type == istio::Proxy::Type::sidecar)
    return finding.namespace_name != proxy.namespace_name || (!coded && checks_.has_about(finding));
  // Of its servers a Gateway's proxy says things that no other analyzer does; what it says of other
  // kinds, sidecars say too.
  if (finding.kind == "Gateway") return false;
  return finding.kind != "VirtualService" || checks_.has_about(finding);
}

void Told::look_as(const istio::Proxy& proxy) {
  const auto compiled = mesh::compile(checks_.world.input_for(proxy), nullptr, 1);
  for (const auto& finding : compiled.findings)
    if (!is_known(finding, proxy) && told_.insert(finding.text()).second) left_.push_back(finding);
}

void Told::report() {
  for (const auto& finding : left_) {
    const auto coded = code_in(finding.reason);
    if (!coded.empty()) {
      checks_.add(coded, finding, words_of(coded, finding));
      continue;
    }
    const bool error = finding.severity == istio::Severity::error;
    const bool limit = is_limit_of_proxy(finding.reason);
    checks_.add(error ? "SLP0901" : limit ? "SLP0903" : "SLP0902", finding, finding.reason);
  }
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
  const auto& world = checks.world;
  Told told(checks);
  const auto resources = world.input_for({}).resources;
  for (const auto& proxy : mesh::sidecar_views(resources)) told.look_as(proxy);
  for (const auto& proxy : mesh::router_views(resources, world.pods())) told.look_as(proxy);
  told.report();
}

}  // namespace sallyport::analyze
