// What validation says of each resource by itself, and resources that are there twice.
#include <algorithm>
#include <map>
#include <tuple>

#include "agent/analyze/checks.h"
#include "agent/istio/kind_names.h"

namespace sallyport::analyze {
namespace {

// What Istio's validation warns of; all other warnings are this product's.
bool is_istios(std::string_view reason) {
  constexpr std::string_view starts[] = {"TLS version below",
                                         "abort configured",
                                         "address is unset",
                                         "addresses are required",
                                         "configured AuthorizationPolicy",
                                         "consistent hash MinimumRingSize is deprecated",
                                         "large direct_responses",
                                         "outlier detection",
                                         "partial wildcard",
                                         "service entry",
                                         "unknown field",
                                         "using an IP address",
                                         "using deprecated setting",
                                         "using legacy gatewayName",
                                         "workload selector specified",
                                         "workloadSelector should not"};
  return std::any_of(std::begin(starts), std::end(starts),
                     [&](std::string_view one) { return reason.starts_with(one); });
}

// A warning that tells of a limit of this product, not of a mistake.
bool is_limit(std::string_view reason) {
  constexpr std::string_view words[] = {"not supported", "no effect", "not available", "not yet"};
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view one) { return reason.find(one) != reason.npos; });
}

std::string_view code_of(const istio::Finding& finding) {
  if (finding.severity == istio::Severity::error) {
    // Kubernetes' own resources have no schema of Istio's.
    return finding.kind.empty() || istio::is_of_istio(finding.kind) ? "IST0106" : "SLP0901";
  }
  if (is_istios(finding.reason)) return "IST0133";
  constexpr std::string_view protections[] = {"AuthorizationPolicy", "PeerAuthentication",
                                              "RequestAuthentication"};
  const bool protects = std::find(std::begin(protections), std::end(protections), finding.kind) !=
                        std::end(protections);
  if (protects && is_limit(finding.reason)) return "SLP0904";
  return is_limit(finding.reason) ? "SLP0903" : "SLP0902";
}

// What a proxy does with a refused resource, by kind. In all of them a last good version stays.
const char* schema_cure(std::string_view kind) {
  if (kind == "AuthorizationPolicy" || kind == "PeerAuthentication")
    return "correct the field; until then a proxy keeps the policy's last good version; without "
           "one it refuses the policy and closes the workloads it selects";
  if (kind == "Sidecar")
    return "correct the field; until then a proxy keeps the Sidecar's last good version; without "
           "one the workloads it selects go on as if it were not there (by another Sidecar, else "
           "seeing all services), but are held to REGISTRY_ONLY: what no service declares is "
           "refused";
  if (kind == "Gateway")
    return "correct the field; until then a proxy keeps the Gateway's last good version; without "
           "one it refuses the Gateway and closes the hosts it names, on its ports, unless another "
           "Gateway has the very host: HTTP is answered 503, TLS is closed";
  if (!kind.empty() && !istio::protects(kind))
    return "correct the field; until then a proxy refuses the resource, and keeps its last good "
           "version where it has one";
  return "";
}

std::string with_field(const istio::Finding& finding) {
  return finding.field.empty() ? finding.reason : finding.field + ": " + finding.reason;
}

void check_twice(Checks& checks) {
  std::map<std::tuple<std::string, std::string, std::string>, const Object*> first;
  for (const auto& object : checks.world.objects()) {
    const auto& ref = *object.ref;
    if (ref.name.empty()) continue;
    const auto [at, is_new] = first.try_emplace({ref.kind, ref.namespace_name, ref.name}, &object);
    if (is_new || !object.resource) continue;
    checks.add("SLP0102", object, "metadata.name",
               "this is defined before: " + at->second->ref->text());
  }
}

}  // namespace

void check_schema(Checks& checks) {
  for (const auto& finding : checks.world.decode_findings()) {
    const bool error = finding.severity == istio::Severity::error;
    if (!error && finding.kind.empty()) continue;                      // a kind of others
    if (finding.reason.starts_with("virtualService rule ")) continue;  // check_matches tells
    const auto code = code_of(finding);
    const auto what = with_field(finding);
    checks.add(code, finding,
               code == "IST0106"   ? "Schema validation error: " + what
               : code == "IST0133" ? "Schema validation warning: " + what
                                   : what,
               code == "IST0106" ? schema_cure(finding.kind) : "");
  }
  check_twice(checks);
}

}  // namespace sallyport::analyze
