// Who serves a service: WorkloadEntries and Pods that its selector takes, what its EndpointSlices
// name, and the endpoints written into a ServiceEntry (istio-api.md 1.1, 1.2, 2.10;
// istio/istio:pilot/pkg/serviceregistry). Pure. Points into the CompileInput, which must outlive
// it.
//
// Indexes are made when the first service asks: where nothing changed, nobody does.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/mesh/known_services.h"
#include "agent/mesh/peer_authentication.h"

namespace sallyport::mesh {

struct ServiceWorkload {
  // Of a Pod or a slice's endpoint what a WorkloadEntry would say: address, labels, ports by name
  // (of the containers; of the slice: by the service's port names), service account, locality.
  istio::WorkloadEntry entry;
  const istio::Metadata* metadata = nullptr;  // of the resource that it stands in
  std::string_view owner;                     // of a Pod: what manages it; empty: not known
  std::string_view host_name, subdomain;      // of a Pod: in DNS; subdomain empty: it has no name
  enum class From : uint8_t { entry, pod, slice } from = From::entry;
  bool speaks_mesh_tls = false;  // label security.istio.io/tlsMode: istio, or what stands for it
  bool ready = true;
};

// The port of `workload` that the service's port leads to: its own of that name, the targetPort (a
// Service's may be named), the number (1.1). Empty: it does not serve that port.
std::optional<uint16_t> target_port(const ServiceWorkload& workload, const istio::ServicePort& port,
                                    bool of_service);

struct ServedBy {
  std::vector<ServiceWorkload> workloads;
  // False: of a Service nobody is known, neither slices nor pods: its own addresses stand for them.
  bool known = true;
  // SPIFFE ids of all service accounts, in every trust domain of the mesh, sorted.
  std::vector<std::string> identities;
};

class ServiceWorkloads {
public:
  explicit ServiceWorkloads(const CompileInput& input) : input_(input) {}
  ServiceWorkloads(const ServiceWorkloads&) = delete;

  // The answer holds until another service is asked for. What can't be used is told in `findings`.
  const ServedBy& of(const KnownService& service, std::vector<istio::Finding>& findings);
  void forget() { last_ = nullptr; }  // asked again, it tells its findings again
  const PeerAuthentications& policies();
  const CompileInput& input() const { return input_; }

private:
  // Resources by namespace and by each of their labels: of thousands, a selector asks only those
  // that have its rarest one.
  template <class T>
  class ByLabel {
  public:
    void add(const T* one, const istio::Labels& labels);
    std::vector<const T*> selected(const istio::Labels& selector) const;

  private:
    using Label = std::pair<std::string_view, std::string_view>;
    std::vector<const T*> all_;
    std::map<Label, std::vector<const T*>> by_label_;
  };
  struct Space {
    ByLabel<istio::Workload> entries;
    ByLabel<istio::Pod> pods;  // that have an address and are not over
    std::map<std::string_view, const istio::Pod*> pods_by_name;
    std::map<std::string_view, std::vector<const istio::EndpointSlice*>> slices;  // by service
  };
  void index();
  void collect_entry(const istio::ServiceEntry& entry, const Space& space, ServedBy& out) const;
  void collect_service(const istio::Service& service, const Space& space, ServedBy& out,
                       std::vector<istio::Finding>& findings) const;
  void add_slice(const istio::EndpointSlice& slice, const Space& space, ServedBy& out,
                 std::vector<istio::Finding>& findings) const;
  void add_pods(const std::vector<const istio::Pod*>& pods, ServedBy& out) const;
  void name_identities(ServedBy& out) const;

  const CompileInput& input_;
  bool indexed_ = false;
  std::map<std::string_view, Space> spaces_;
  std::optional<PeerAuthentications> policies_;
  const KnownService* last_ = nullptr;
  ServedBy served_;
};

}  // namespace sallyport::mesh
