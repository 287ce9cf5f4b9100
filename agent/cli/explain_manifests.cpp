#include "agent/cli/explain_manifests.h"

#include <algorithm>

#include "agent/istio/labels.h"
#include "agent/mesh/explain.h"

namespace sallyport::cli {
namespace {

using ResourcePtr = std::shared_ptr<const istio::Resource>;

// Where such pods run, the template says nothing that they don't.
bool runs_already(const analyze::Workload& workload, const mesh::Resources& resources) {
  return std::any_of(resources.begin(), resources.end(), [&](const ResourcePtr& one) {
    const auto* pod = std::get_if<istio::Pod>(one.get());
    if (!pod || (pod->ips.empty() && !pod->over)) return false;
    const auto& about = pod->metadata;
    if (about.namespace_name() != workload.ref->namespace_name) return false;
    if (workload.ref->kind == "Pod") return about.name() == workload.ref->name;
    return !workload.labels.empty() && istio::selects(workload.labels, about.labels);
  });
}

ResourcePtr pod_of(const analyze::Workload& workload, bool sidecar, IpAddress address) {
  istio::Pod pod;
  pod.metadata.ref = workload.ref;
  pod.metadata.labels = workload.labels;
  if (sidecar) pod.metadata.labels.try_emplace("security.istio.io/tlsMode", "istio");
  pod.ips = {address.text()};
  pod.service_account = workload.service_account;
  for (const auto& port : analyze::container_ports(workload))
    pod.ports.push_back({port.name, port.number});
  pod.host_network = workload.host_network;
  return std::make_shared<const istio::Resource>(std::move(pod));
}

// Whether the documents tell who serves it: pods of a cluster do for their whole namespace.
bool is_served(const istio::Service& service, const mesh::Resources& resources) {
  const auto& space = service.metadata.namespace_name();
  return std::any_of(resources.begin(), resources.end(), [&](const ResourcePtr& one) {
    if (istio::metadata_of(*one).namespace_name() != space) return false;
    if (const auto* slice = std::get_if<istio::EndpointSlice>(one.get()))
      return slice->service == service.metadata.name();
    if (const auto* entry = std::get_if<istio::Workload>(one.get()))
      return istio::selects(service.selector, entry->entry.labels);
    const auto* pod = std::get_if<istio::Pod>(one.get());
    if (!pod || pod->ips.empty()) return false;
    const auto ip = IpAddress::parse(pod->ips.front());
    return (ip && !mesh::is_stand_in(*ip)) ||
           istio::selects(service.selector, pod->metadata.labels);
  });
}

// Who serves it is not among the documents: its own address stands for them.
ResourcePtr slice_of(const istio::Service& service) {
  istio::EndpointSlice slice;
  slice.metadata.ref = service.metadata.ref;
  slice.service = service.metadata.name();
  slice.endpoints.emplace_back().addresses = service.cluster_ips;
  for (const auto& port : service.ports) slice.ports.push_back({port.name, port.number});
  return std::make_shared<const istio::Resource>(std::move(slice));
}

}  // namespace

void place_manifests(const analyze::World& world, mesh::Resources& resources) {
  uint32_t placed = 0;
  for (auto& resource : resources) {
    const auto* service = std::get_if<istio::Service>(resource.get());
    if (!service || !service->cluster_ips.empty() || !service->external_name.empty()) continue;
    auto with_address = *service;
    with_address.cluster_ips = {mesh::stand_in_address(placed++).text()};
    resource = std::make_shared<const istio::Resource>(std::move(with_address));
  }
  mesh::Resources pods;
  for (const auto& workload : world.workloads()) {
    if (!workload.pod || runs_already(workload, resources)) continue;
    const bool sidecar = world.why_no_sidecar(workload).empty();
    pods.push_back(pod_of(workload, sidecar, mesh::stand_in_address(placed++)));
  }
  resources.insert(resources.end(), pods.begin(), pods.end());
  mesh::Resources slices;
  for (const auto& resource : resources) {
    const auto* service = std::get_if<istio::Service>(resource.get());
    const bool asked = service && !service->selector.empty() && service->external_name.empty();
    if (asked && !is_served(*service, resources)) slices.push_back(slice_of(*service));
  }
  resources.insert(resources.end(), slices.begin(), slices.end());
}

}  // namespace sallyport::cli
