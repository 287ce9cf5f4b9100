#include "agent/analyze/analyze.h"

#include <algorithm>
#include <map>

#include "agent/analyze/checks.h"
#include "agent/istio/scalar.h"

namespace sallyport::analyze {
namespace {

constexpr std::string_view suppress_annotation = "galley.istio.io/analyze-suppress";

using Check = void (*)(Checks&);
constexpr Check all_checks[] = {check_schema,    check_services,     check_rules,
                                check_tls_modes, check_tls_settings, check_credentials,
                                check_routes,    check_matches,      check_delegates,
                                check_workloads, check_proxy};

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

bool is_suppressed(const World& world, const Finding& finding) {
  for (const auto& object : world.objects()) {
    const auto& ref = *object.ref;
    if (ref.file != finding.file || ref.kind != finding.kind || ref.name != finding.name ||
        ref.namespace_name != finding.namespace_name)
      continue;
    const auto at = object.annotations.find(suppress_annotation);
    if (at == object.annotations.end()) continue;
    for (const auto part : istio::comma_separated(at->second)) {
      if (part == "*" || part == finding.code->id) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<Finding> analyze(const World& world, int64_t now) {
  Checks checks(world, now);
  for (const auto check : all_checks) check(checks);
  auto out = checks.take();
  std::erase_if(out, [&](const Finding& finding) { return is_suppressed(world, finding); });
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
