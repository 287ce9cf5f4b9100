#include "agent/mesh/own_ports.h"

#include <algorithm>
#include <set>

#include "agent/istio/labels.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

class OwnPortFinder {
public:
  OwnPortFinder(const CompileInput& input, std::vector<istio::Finding>& findings)
      : input_(input), proxy_(input.proxy), findings_(findings) {
    for (const auto& text : proxy_.addresses)
      if (const auto ip = IpAddress::parse(text)) own_.push_back(*ip);
    find_slices();
  }
  std::vector<OwnPort> run();

private:
  void find_slices();
  bool is_here(const std::string& address) const;
  bool is_endpoint_of(const istio::Service& service) const;
  uint16_t target_of(const istio::ServicePort& port, const istio::Service& service);
  void add(const istio::Service& service);
  void add(const istio::ServiceEntry& entry);

  const CompileInput& input_;
  const istio::Proxy& proxy_;
  std::vector<istio::Finding>& findings_;
  std::vector<IpAddress> own_;
  std::set<std::string> sliced_;  // Services whose slices name this pod
  std::vector<OwnPort> out_;
};

bool OwnPortFinder::is_here(const std::string& address) const {
  const auto ip = IpAddress::parse(address);
  return ip && std::find(own_.begin(), own_.end(), *ip) != own_.end();
}

// Services of this namespace without a selector have their EndpointSlices from somebody else than
// Kubernetes: those that name this pod.
void OwnPortFinder::find_slices() {
  for (const auto& resource : input_.resources) {
    const auto* slice = std::get_if<istio::EndpointSlice>(resource.get());
    if (!slice || slice->metadata.namespace_name() != proxy_.namespace_name) continue;
    for (const auto& endpoint : slice->endpoints)
      for (const auto& address : endpoint.addresses)
        if (is_here(address)) sliced_.insert(slice->service);
  }
}

bool OwnPortFinder::is_endpoint_of(const istio::Service& service) const {
  if (service.metadata.namespace_name() != proxy_.namespace_name) return false;
  if (!service.selector.empty()) return istio::selects(service.selector, proxy_.labels);
  return sliced_.contains(service.metadata.name());
}

// A named targetPort is a port of this pod's containers. 0: it has none of that name.
uint16_t OwnPortFinder::target_of(const istio::ServicePort& port, const istio::Service& service) {
  if (port.target_port) return port.target_port;
  if (port.target_port_name.empty()) return port.number;
  for (const auto& resource : input_.resources) {
    const auto* pod = std::get_if<istio::Pod>(resource.get());
    if (!pod || pod->metadata.namespace_name() != proxy_.namespace_name) continue;
    if (pod->metadata.name() != proxy_.name) continue;
    for (const auto& own : pod->ports)
      if (own.name == port.target_port_name) return own.number;
  }
  findings_.push_back(
      finding(istio::Severity::warning, service.metadata, "spec.ports",
              "targetPort '" + port.target_port_name + "' is no port of pod " + proxy_.name +
                  " that is known here: what arrives there is taken for an undeclared port",
              port.line));
  return 0;
}

void OwnPortFinder::add(const istio::Service& service) {
  if (!is_endpoint_of(service)) return;
  for (const auto& port : service.ports) {
    const auto kind = kind_of(port, true);
    if (kind == PortKind::other) continue;
    if (const auto target = target_of(port, service))
      out_.push_back({port.number, target, kind, &service.metadata});
  }
}

void OwnPortFinder::add(const istio::ServiceEntry& entry) {
  if (entry.metadata.namespace_name() != proxy_.namespace_name) return;
  const bool selected =
      entry.workload_selector && istio::selects(*entry.workload_selector, proxy_.labels);
  const auto own =
      std::find_if(entry.endpoints.begin(), entry.endpoints.end(),
                   [this](const istio::WorkloadEntry& one) { return is_here(one.address); });
  const bool listed = own != entry.endpoints.end();
  if (!selected && !listed) return;
  for (const auto& port : entry.ports) {
    uint16_t target = port.target_port ? port.target_port : port.number;
    if (listed && own->ports.contains(port.name)) target = own->ports.at(port.name);
    const auto kind = kind_of(port, false);
    if (kind != PortKind::other) out_.push_back({port.number, target, kind, &entry.metadata});
  }
}

std::vector<OwnPort> OwnPortFinder::run() {
  for (const auto& resource : input_.resources) {
    if (const auto* service = std::get_if<istio::Service>(resource.get())) {
      add(*service);
    } else if (const auto* entry = std::get_if<istio::ServiceEntry>(resource.get())) {
      add(*entry);
    }
  }
  return std::move(out_);
}

}  // namespace

std::vector<OwnPort> own_ports(const CompileInput& input, std::vector<istio::Finding>& findings) {
  return OwnPortFinder(input, findings).run();
}

}  // namespace sallyport::mesh
