#include "agent/analyze/analyze.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "agent/analyze/checks.h"
#include "agent/istio/scalar.h"

namespace sallyport::analyze {
namespace {

constexpr std::string_view suppress_annotation = "galley.istio.io/analyze-suppress";

using Check = void (*)(Checks&);
constexpr Check all_checks[] = {check_mutual_tls,
                                check_sidecars,
                                check_schema,
                                check_services,
                                check_rules,
                                check_tls_modes,
                                check_tls_settings,
                                check_credentials,
                                check_routes,
                                check_gateways,
                                check_gateway_rules,
                                check_gateway_workloads,
                                check_gateway_credentials,
                                check_telemetries,
                                check_matches,
                                check_delegates,
                                check_workloads,
                                check_policies,
                                check_policy_ports,
                                check_policy_values,
                                check_strict,
                                check_proxy};

// `*` in the pattern stands for any text.
bool matches(std::string_view pattern, std::string_view text) {
  const auto star = pattern.find('*');
  if (star == pattern.npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  pattern.remove_prefix(star + 1);
  text.remove_prefix(star);
  for (std::size_t skip = 0; skip <= text.size(); skip++) {
    if (matches(pattern, text.substr(skip))) return true;
  }
  return false;
}

// The codes that resources silence about themselves, by file, kind, namespace and name.
class Silenced {
public:
  explicit Silenced(const World& world) {
    for (const auto& object : world.objects()) {
      const auto at = object.annotations.find(suppress_annotation);
      if (at == object.annotations.end()) continue;
      const auto& ref = *object.ref;
      auto& codes = by_resource_[{ref.file, ref.kind, ref.namespace_name, ref.name}];
      for (const auto part : istio::comma_separated(at->second)) codes.emplace(part);
    }
  }
  bool has(const Finding& one) const {
    const auto at = by_resource_.find({one.file, one.kind, one.namespace_name, one.name});
    return at != by_resource_.end() &&
           (at->second.contains("*") || at->second.contains(one.code->id));
  }

private:
  std::map<std::array<std::string, 4>, std::set<std::string, std::less<>>> by_resource_;
};

}  // namespace

std::vector<Finding> analyze(const World& world, int64_t now,
                             const std::vector<istio::Finding>& of_proxies) {
  Checks checks(world, now);
  for (const auto check : all_checks) check(checks);
  for (const auto& finding : of_proxies) {
    const bool error = finding.severity == istio::Severity::error;
    checks.add(error ? "SLP0901" : "SLP0902", finding, finding.reason);
  }
  auto out = checks.take();
  const Silenced silenced(world);
  std::erase_if(out, [&](const Finding& finding) { return silenced.has(finding); });
  std::map<std::string, std::size_t> place;
  for (const auto& object : world.objects()) place.emplace(object.ref->file, place.size());
  const auto key = [&](const Finding& finding) {
    const auto at = place.find(finding.file);
    return std::tuple(at == place.end() ? place.size() : at->second, finding.line,
                      finding.code->id);
  };
  std::stable_sort(out.begin(), out.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return out;
}

bool suppresses(std::string_view rule, const Finding& finding) {
  const auto equals = rule.find('=');
  if (equals == rule.npos) return rule == finding.code->id;
  return rule.substr(0, equals) == finding.code->id &&
         matches(rule.substr(equals + 1), finding.resource());
}

}  // namespace sallyport::analyze
