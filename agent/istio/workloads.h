// Who serves what, and what a workload sees: Kubernetes' Pod and EndpointSlice, WorkloadGroup, and
// Istio's Sidecar (istio-api.md 1.2, 1.6).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/istio/metadata.h"

namespace sallyport::istio {

// As far as endpoints and named ports need it.
struct Pod {
  Metadata metadata;
  std::vector<std::string> ips;  // status.podIPs, else podIP; empty: not placed yet
  std::string service_account = "default";
  // What manages it: the Deployment of a ReplicaSet, a StatefulSet, ...; empty: nobody that is
  // known.
  std::string owner;
  // Its name in DNS below a headless Service's: spec.hostname, else its own; spec.subdomain.
  std::string host_name, subdomain;
  struct Port {
    std::string name;
    uint16_t number = 0;
  };
  std::vector<Port> ports;  // of its containers, native sidecars' included
  bool ready = true;        // condition Ready; a document without status counts as ready
  bool host_network = false;
  bool over = false;  // phase Succeeded or Failed
};

struct EndpointSlice {
  Metadata metadata;
  std::string service;  // label kubernetes.io/service-name; empty: nobody's
  struct Endpoint {
    std::vector<std::string> addresses;
    bool ready = true;
    std::string pod;   // targetRef of kind Pod
    std::string zone;  // with the node's region unknown: "/zone"
    int line = 0;
  };
  std::vector<Endpoint> endpoints;
  struct Port {
    std::string name;
    uint16_t number = 0;
  };
  std::vector<Port> ports;
};

// The template of workloads on virtual machines. Nothing registers itself without a control plane:
// it is checked, and tells a proxy started for it who it is.
struct WorkloadGroup {
  Metadata metadata;
  Labels labels;  // metadata.labels of the group
  std::string service_account, network, locality;
  boost::container::flat_map<std::string, uint16_t> ports;
};

struct SidecarPort {
  uint16_t number = 0;
  std::string name, protocol;  // upper case; empty: detect
  int line = 0;
};

struct SidecarEgress {
  std::optional<SidecarPort> port;  // none: for all the rest
  std::string bind;
  std::vector<std::string> hosts;  // "NAMESPACE/dnsName"
  int line = 0;
};

struct SidecarIngress {
  SidecarPort port;
  std::string bind, default_endpoint;  // "127.0.0.1:8080", "unix:///path"; empty: as it came
  bool has_tls = false;                // without effect by default (istio-api.md 7)
  int line = 0;
};

struct Sidecar {
  Metadata metadata;
  std::optional<Labels> workload_selector;
  std::vector<SidecarEgress> egress;
  std::vector<SidecarIngress> ingress;
  // outboundTrafficPolicy. Given without a mode it is REGISTRY_ONLY, the enum's zero; none: the
  // mesh's.
  std::optional<bool> allow_any;
  int policy_line = 0;
};

}  // namespace sallyport::istio
