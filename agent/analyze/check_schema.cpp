// What validation says of each resource by itself, and resources that are there twice.
#include <algorithm>
#include <map>
#include <tuple>

#include "agent/analyze/checks.h"

namespace sallyport::analyze {
namespace {

// A warning that tells of a limit of this product, not of a mistake.
bool is_limit(std::string_view reason) {
  if (reason.starts_with("unknown field")) return false;
  constexpr std::string_view words[] = {"not supported", "no effect", "not available", "not yet"};
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view one) { return reason.find(one) != reason.npos; });
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
    if (finding.severity == istio::Severity::error) {
      checks.add("IST0106", finding, "Schema validation error: " + with_field(finding));
    } else if (finding.kind.empty()) {
      continue;  // a kind of others
    } else if (is_limit(finding.reason)) {
      checks.add("SLP0903", finding, with_field(finding));
    } else {
      checks.add("IST0133", finding, "Schema validation warning: " + with_field(finding));
    }
  }
  check_twice(checks);
}

}  // namespace sallyport::analyze
