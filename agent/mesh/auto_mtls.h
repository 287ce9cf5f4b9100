// Auto mTLS on the client's side: whether a service without a `tls` of a DestinationRule is spoken
// to with Istio's mutual TLS, and to which of its endpoints (istio-api.md 2.10;
// istio/istio:pilot/pkg/model BestEffortInferServiceMTLSMode, pilot/pkg/xds/endpoints). Pure.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/service_workloads.h"

namespace sallyport::mesh {

enum class AutoMtls : uint8_t {
  by_endpoint,         // to those that take it
  all,                 // of the dialled address: every endpoint is labelled
  external,            // MESH_EXTERNAL, or a Service of type ExternalName
  switched_off,        // enableAutoMtls: false
  namespace_disables,  // PeerAuthentication of the service's namespace, or of the mesh
  nobody_known,        // of the dialled address, and no endpoint is known
  not_everybody,       // of the dialled address, and an endpoint is not labelled
};

struct AutoMtlsGate {
  AutoMtls answer = AutoMtls::external;
  ResourceRefPtr from;  // the PeerAuthentication; null: none decided
  bool open() const { return answer == AutoMtls::by_endpoint || answer == AutoMtls::all; }
};
// `dialled`: the cluster goes to the original destination, so that one answer holds for all.
AutoMtlsGate auto_mtls_gate(const KnownService& service, const istio::ServicePort& port,
                            bool dialled, const ServedBy& served, ServiceWorkloads& workloads);

// The gate of one endpoint, at its own port.
struct EndpointMtls {
  bool labelled = false;
  MutualTlsChoice policy;
  bool on() const { return labelled && policy.mode != istio::MutualTls::disable; }
};
EndpointMtls endpoint_mtls(const ServiceWorkload& workload, uint16_t port,
                           const PeerAuthentications& policies);

// The workload's own identity towards this service: SNI of 2.12, names of the endpoints' service
// accounts and the ServiceEntry's subjectAltNames.
TlsOrigination mesh_origination(const KnownService& service, uint16_t port, std::string_view subset,
                                const ServedBy& served, const istio::MeshConfig& mesh);

}  // namespace sallyport::mesh
