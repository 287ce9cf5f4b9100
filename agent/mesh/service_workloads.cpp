#include "agent/mesh/service_workloads.h"

#include <algorithm>
#include <set>

#include "agent/core/spiffe.h"
#include "agent/istio/labels.h"
#include "agent/mesh/locality.h"

namespace sallyport::mesh {
namespace {

constexpr std::string_view tls_mode_label = "security.istio.io/tlsMode";

bool labelled_for_tls(const istio::Labels& labels) {
  const auto at = labels.find(tls_mode_label);
  return at != labels.end() && at->second == "istio";
}

// A WorkloadEntry with a service account and without the label is one of the mesh (1.2).
ServiceWorkload from_entry(const istio::WorkloadEntry& entry, const istio::Metadata& metadata) {
  ServiceWorkload out;
  out.entry = entry;
  out.metadata = &metadata;
  out.speaks_mesh_tls = entry.labels.contains(tls_mode_label) ? labelled_for_tls(entry.labels)
                                                              : !entry.service_account.empty();
  return out;
}

ServiceWorkload from_pod(const istio::Pod& pod, const std::string& address) {
  ServiceWorkload out;
  out.from = ServiceWorkload::From::pod;
  out.metadata = &pod.metadata;
  out.entry.address = address;
  out.entry.labels = pod.metadata.labels;
  out.entry.service_account = pod.service_account;
  out.owner = pod.owner;
  out.host_name = pod.host_name;
  out.subdomain = pod.subdomain;
  for (const auto& port : pod.ports)
    if (!port.name.empty()) out.entry.ports.try_emplace(port.name, port.number);
  out.speaks_mesh_tls = labelled_for_tls(pod.metadata.labels);
  out.ready = pod.ready;
  return out;
}

// Of a family that the proxy has an address of itself.
bool can_reach(const istio::Proxy& proxy, const std::string& address) {
  const auto ip = IpAddress::parse(address);
  return ip && std::any_of(proxy.addresses.begin(), proxy.addresses.end(), [&](const auto& text) {
           const auto own = IpAddress::parse(text);
           return own && own->is_v4() == ip->is_v4();
         });
}

// The first that can be reached; where none can, the first.
const std::string* reachable(const std::vector<std::string>& addresses, const istio::Proxy& proxy) {
  for (const auto& one : addresses)
    if (can_reach(proxy, one)) return &one;
  return addresses.empty() ? nullptr : &addresses.front();
}

// Of a service of two families, which has slices of both, those that can be reached.
void leave_reachable(std::vector<ServiceWorkload>& workloads, const istio::Proxy& proxy) {
  const auto here = [&](const auto& one) { return can_reach(proxy, one.entry.address); };
  if (std::any_of(workloads.begin(), workloads.end(), here))
    std::erase_if(workloads, [&](const auto& one) { return !here(one); });
}

}  // namespace

std::optional<uint16_t> target_port(const ServiceWorkload& workload, const istio::ServicePort& port,
                                    bool of_service) {
  const auto& own = workload.entry.ports;
  const auto named = [&own](const std::string& name) -> std::optional<uint16_t> {
    const auto at = own.find(name);
    return at == own.end() ? std::nullopt : std::optional(at->second);
  };
  const uint16_t usual = port.target_port ? port.target_port : port.number;
  if (workload.from == ServiceWorkload::From::slice) return named(port.name);
  if (of_service && !port.target_port_name.empty()) return named(port.target_port_name);
  // A Service's pods serve at the number that it says; a ServiceEntry asks theirs by name first.
  if (of_service && workload.from == ServiceWorkload::From::pod) return usual;
  return named(port.name).value_or(usual);
}

template <class T>
void ServiceWorkloads::ByLabel<T>::add(const T* one, const istio::Labels& labels) {
  all_.push_back(one);
  for (const auto& [name, value] : labels) by_label_[{name, value}].push_back(one);
}

template <class T>
std::vector<const T*> ServiceWorkloads::ByLabel<T>::selected(const istio::Labels& selector) const {
  const std::vector<const T*>* fewest = &all_;
  for (const auto& [name, value] : selector) {
    const auto with = by_label_.find({name, value});
    if (with == by_label_.end()) return {};
    if (with->second.size() < fewest->size()) fewest = &with->second;
  }
  std::vector<const T*> out;
  const auto fits = [&](const T* one) {
    if constexpr (std::is_same_v<T, istio::Workload>)
      return istio::selects(selector, one->entry.labels);
    else
      return istio::selects(selector, one->metadata.labels);
  };
  std::copy_if(fewest->begin(), fewest->end(), std::back_inserter(out), fits);
  return out;
}

void ServiceWorkloads::index() {
  indexed_ = true;
  for (const auto& resource : input_.resources) {
    if (const auto* entry = std::get_if<istio::Workload>(resource.get())) {
      spaces_[entry->metadata.namespace_name()].entries.add(entry, entry->entry.labels);
    } else if (const auto* pod = std::get_if<istio::Pod>(resource.get())) {
      if (pod->ips.empty() || pod->over) continue;
      auto& space = spaces_[pod->metadata.namespace_name()];
      space.pods.add(pod, pod->metadata.labels);
      space.pods_by_name.try_emplace(pod->metadata.name(), pod);
    } else if (const auto* slice = std::get_if<istio::EndpointSlice>(resource.get())) {
      spaces_[slice->metadata.namespace_name()].slices[slice->service].push_back(slice);
    }
  }
}

const PeerAuthentications& ServiceWorkloads::policies() {
  if (!policies_) policies_.emplace(input_);
  return *policies_;
}

void ServiceWorkloads::add_pods(const std::vector<const istio::Pod*>& pods, ServedBy& out) const {
  for (const auto* pod : pods) {
    const auto* address = reachable(pod->ips, input_.proxy);
    if (address) out.workloads.push_back(from_pod(*pod, *address));
  }
}

// What a slice says of its endpoints counts (ready, port); who they are, their pods say.
void ServiceWorkloads::add_slice(const istio::EndpointSlice& slice, const Space& space,
                                 ServedBy& out, std::vector<istio::Finding>& findings) const {
  for (const auto& endpoint : slice.endpoints) {
    const auto* address = reachable(endpoint.addresses, input_.proxy);
    if (!address) continue;
    ServiceWorkload workload;
    if (!endpoint.pod.empty()) {
      const auto at = space.pods_by_name.find(endpoint.pod);
      if (at == space.pods_by_name.end()) {
        findings.push_back(finding(istio::Severity::warning, slice.metadata, "endpoints",
                                   "the Pod " + endpoint.pod +
                                       " of this endpoint is not known: left out, as Istio does, "
                                       "since nobody can tell whether it takes mutual TLS",
                                   endpoint.line));
        continue;
      }
      workload = from_pod(*at->second, *address);
    }
    workload.from = ServiceWorkload::From::slice;
    workload.entry.address = *address;
    workload.entry.line = endpoint.line;
    if (!endpoint.zone.empty() && locality_of(workload.entry.labels).empty())
      workload.entry.locality = "/" + endpoint.zone;
    workload.metadata = workload.metadata ? workload.metadata : &slice.metadata;
    workload.entry.ports.clear();
    for (const auto& port : slice.ports) workload.entry.ports.try_emplace(port.name, port.number);
    workload.ready = endpoint.ready;
    out.workloads.push_back(std::move(workload));
  }
}

void ServiceWorkloads::collect_entry(const istio::ServiceEntry& entry, const Space& space,
                                     ServedBy& out) const {
  for (const auto& one : entry.endpoints) out.workloads.push_back(from_entry(one, entry.metadata));
  if (!entry.workload_selector) return;
  for (const auto* one : space.entries.selected(*entry.workload_selector))
    out.workloads.push_back(from_entry(one->entry, one->metadata));
  add_pods(space.pods.selected(*entry.workload_selector), out);
}

void ServiceWorkloads::collect_service(const istio::Service& service, const Space& space,
                                       ServedBy& out, std::vector<istio::Finding>& findings) const {
  const auto slices = space.slices.find(service.metadata.name());
  out.known = slices != space.slices.end();
  if (out.known) {
    for (const auto* slice : slices->second) add_slice(*slice, space, out, findings);
    leave_reachable(out.workloads, input_.proxy);
  } else if (!service.selector.empty()) {
    add_pods(space.pods.selected(service.selector), out);
    // Pods of its namespace are watched: that none is selected is known too.
    out.known = !space.pods_by_name.empty();
  }
  if (service.selector.empty()) return;
  for (const auto* one : space.entries.selected(service.selector)) {
    out.workloads.push_back(from_entry(one->entry, one->metadata));
    out.known = true;
  }
}

void ServiceWorkloads::name_identities(ServedBy& out) const {
  std::set<std::string> ids;
  for (const auto& workload : out.workloads) {
    if (workload.entry.service_account.empty()) continue;
    SpiffeId id{input_.mesh.trust_domain, workload.metadata->namespace_name(),
                workload.entry.service_account};
    ids.insert(id.text());
    for (const auto& alias : input_.mesh.trust_domain_aliases) {
      id.trust_domain = alias;
      ids.insert(id.text());
    }
  }
  out.identities.assign(ids.begin(), ids.end());
}

const ServedBy& ServiceWorkloads::of(const KnownService& service,
                                     std::vector<istio::Finding>& findings) {
  if (last_ == &service) return served_;
  if (!indexed_) index();
  last_ = &service;
  served_ = {};
  static const Space nothing;
  const auto at = spaces_.find(service.metadata->namespace_name());
  const Space& space = at == spaces_.end() ? nothing : at->second;
  if (service.entry)
    collect_entry(*service.entry, space, served_);
  else
    collect_service(*service.service, space, served_, findings);
  name_identities(served_);
  return served_;
}

}  // namespace sallyport::mesh
