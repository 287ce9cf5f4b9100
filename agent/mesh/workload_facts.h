// Who a workload is, as Istio's metrics name it: the names of istiod's workload metadata
// (istio/istio:pkg/kube/labels/labels.go). Pure.
#pragma once
#include <string>

#include "agent/core/boxed.h"
#include "agent/istio/metadata.h"

namespace sallyport::istio {
struct Proxy;
}

namespace sallyport::mesh {

struct ServiceWorkload;

// Empty: not known.
struct WorkloadFacts {
  std::string workload, namespace_name, app, version, canonical_service, canonical_revision;
  bool operator==(const WorkloadFacts&) const = default;
};

// `workload`: its name, which is the canonical service's where no label says so.
WorkloadFacts workload_facts(const istio::Labels& labels, std::string_view workload,
                             std::string_view namespace_name);
// Of an endpoint. None where neither labels nor a resource of its own say who it is: an external
// service's address.
Boxed<WorkloadFacts> facts_of(const ServiceWorkload& serving);
WorkloadFacts facts_of(const istio::Proxy& proxy);

}  // namespace sallyport::mesh
