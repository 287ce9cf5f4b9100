#include "agent/mesh/workload_facts.h"

#include <initializer_list>

#include "agent/mesh/service_workloads.h"

namespace sallyport::mesh {
namespace {

constexpr const char* workload_name_label = "service.istio.io/workload-name";

std::string first_label(const istio::Labels& labels, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto at = labels.find(name); at != labels.end()) return at->second;
  return {};
}

// The group's of one that registered itself; a Pod's owner; the name of the resource. An endpoint
// that stands in a ServiceEntry has none.
std::string workload_name(const ServiceWorkload& serving) {
  const auto& metadata = *serving.metadata;
  const auto group = metadata.annotations.find("istio.io/autoRegistrationGroup");
  if (group != metadata.annotations.end()) return group->second;
  auto name = first_label(serving.entry.labels, {workload_name_label});
  if (!name.empty()) return name;
  if (!serving.owner.empty()) return std::string(serving.owner);
  const bool of_its_own = metadata.ref->kind == "Pod" || metadata.ref->kind == "WorkloadEntry";
  return of_its_own ? metadata.name() : std::string();
}

}  // namespace

WorkloadFacts workload_facts(const istio::Labels& labels, std::string_view workload,
                             std::string_view namespace_name) {
  WorkloadFacts out;
  out.workload = workload;
  out.namespace_name = namespace_name;
  out.app = first_label(labels, {"app"});
  out.version = first_label(labels, {"version"});
  out.canonical_service =
      first_label(labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"});
  if (out.canonical_service.empty()) out.canonical_service = workload;
  out.canonical_revision = first_label(
      labels, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"});
  if (out.canonical_revision.empty()) out.canonical_revision = "latest";
  return out;
}

Boxed<WorkloadFacts> facts_of(const ServiceWorkload& serving) {
  const auto name = workload_name(serving);
  if (name.empty() && serving.entry.labels.empty()) return {};
  return workload_facts(serving.entry.labels, name, serving.metadata->namespace_name());
}

WorkloadFacts facts_of(const istio::Proxy& proxy) {
  std::string name = first_label(proxy.labels, {workload_name_label});
  if (name.empty()) name = proxy.workload_name;
  return workload_facts(proxy.labels, name, proxy.namespace_name);
}

}  // namespace sallyport::mesh
