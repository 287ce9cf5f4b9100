// The services that this proxy sees: visibility, precedence of one host told twice, and what each
// port speaks (istio-api.md 2.2 to 2.4). Pure. Everything points into the CompileInput, which must
// outlive it.
#pragma once
#include <string>
#include <unordered_set>
#include <vector>

#include "agent/core/address.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/port_kind.h"
#include "agent/mesh/sidecar_scope.h"

namespace sallyport::mesh {

struct KnownPort {
  const istio::ServicePort* port = nullptr;
  PortKind kind = PortKind::detect;
};

// One host of one resource.
struct KnownService {
  std::string host;  // lower case; may be a wildcard
  const istio::Metadata* metadata = nullptr;
  const istio::ServiceEntry* entry = nullptr;  // exactly one of entry and service is set
  const istio::Service* service = nullptr;
  // Where DNS is captured, of a ServiceEntry that names none, those that it is given.
  std::vector<IpAddress> addresses;
  std::vector<IpAddress> pods;     // of a headless Service whose bytes only addresses tell apart
  std::vector<Cidr> blocks;        // addresses that are wider than one IP
  std::vector<std::string> names;  // subjectAltNames of ServiceEntries for this host
  std::vector<KnownPort> ports;    // those that no earlier resource took
  // Not imported by the Sidecar: only a destination of a VirtualService that is. It has clusters
  // and no listener.
  bool only_routed_to = false;
  bool decorated = false;  // other ServiceEntries add to it
  bool headless() const { return service && addresses.empty() && service->external_name.empty(); }
};

// What a port is declared to speak. `of_service`: of a Kubernetes Service.
PortKind kind_of(const istio::ServicePort& port, bool of_service);

// What the proxy's Sidecar lets it see.
struct ServiceScope {
  const SidecarScope& sidecar;
  // Hosts that VirtualServices of its scope lead to; asked only where it does not see everything.
  std::unordered_set<std::string> routed_to;
};
std::vector<KnownService> known_services(const CompileInput& input, const ServiceScope& scope,
                                         std::vector<istio::Finding>& findings);

// True when a resource of `from` with that exportTo is seen in `to`; an empty list means
// `mesh_default`, and `*` if that is empty too.
bool exported(const std::vector<std::string>& export_to,
              const std::vector<std::string>& mesh_default, std::string_view from,
              std::string_view to);

istio::Finding finding(istio::Severity severity, const istio::Metadata& about, std::string field,
                       std::string reason, int line = 0);

}  // namespace sallyport::mesh
