// Delegates: missing, in a circle, or with conditions that never hold together.
#include <algorithm>

#include "agent/analyze/checks.h"
#include "agent/mesh/delegates.h"

namespace sallyport::analyze {
namespace {

using Service = Typed<istio::VirtualService>;

struct Found {
  const Object* object = nullptr;
  const istio::VirtualService* service = nullptr;
};

Found find_delegate(const World& world, const Service& root, const istio::Delegate& delegate) {
  const auto& own = root->metadata.namespace_name();
  const auto& space = delegate.namespace_name.empty() ? own : delegate.namespace_name;
  const auto* object = world.find("VirtualService", space, delegate.name);
  if (!object || !object->resource) return {};
  return {object, std::get_if<istio::VirtualService>(object->resource.get())};
}

// There, but refused: not a resource.
const Object* refused_delegate(const World& world, const Service& root, std::size_t index) {
  const auto& delegate = *root->http[index].delegate;
  const auto& own = root->metadata.namespace_name();
  const auto* object =
      world.find("VirtualService", delegate.namespace_name.empty() ? own : delegate.namespace_name,
                 delegate.name);
  return object && !object->resource ? object : nullptr;
}

bool delegates_too(const Object& object) {
  const auto* rules = find(*object.node, "spec.http");
  if (!rules) return false;
  return std::any_of(rules->entries.begin(), rules->entries.end(),
                     [](const auto& rule) { return rule.value->find("delegate") != nullptr; });
}

void check_rule(Checks& checks, const Service& root, std::size_t index) {
  const auto& rule = root->http[index];
  const auto field = item("spec.http", index) + ".delegate";
  const auto found = find_delegate(checks.world, root, *rule.delegate);
  if (const auto* refused = found.service ? nullptr : refused_delegate(checks.world, root, index)) {
    if (!delegates_too(*refused)) return;  // the schema check has said what is wrong with it
    return checks.add("SLP0502", *root.object, field,
                      refused->ref->text() +
                          " delegates itself: a circle, or a chain; it is "
                          "refused, and this rule has no effect");
  }
  if (!found.service) {
    return checks.add("SLP0504", *root.object, field,
                      "the delegate " + rule.delegate->name +
                          " is not there: requests fall through to the next rule");
  }
  if (!found.service->hosts.empty()) {
    return checks.add("SLP0504", *root.object, field,
                      found.object->ref->text() +
                          " has hosts, so that it is no delegate: requests fall through to the "
                          "next rule",
                      "remove spec.hosts from the delegate");
  }
  for (std::size_t i = 0; i < found.service->http.size(); i++) {
    if (!mesh::merge_delegate(rule, {found.service->http[i]}).empty()) continue;
    checks.add("SLP0501", *found.object, item("spec.http", i),
               "its match and that of " + root.object->ref->text() + ", " +
                   item("spec.http", index) + ", exclude each other: the rule is dropped silently");
  }
}

}  // namespace

void check_delegates(Checks& checks) {
  for (const auto& service : checks.world.all<istio::VirtualService>()) {
    for (std::size_t i = 0; i < service->http.size(); i++) {
      if (service->http[i].delegate) check_rule(checks, service, i);
    }
  }
}

}  // namespace sallyport::analyze
