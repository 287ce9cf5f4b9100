// Pods, and the templates of Deployments and their like, as far as an analysis asks.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/istio/metadata.h"
#include "agent/istio/resources.h"
#include "agent/istio/tree.h"

namespace sallyport::analyze {

struct Workload {
  ResourceRefPtr ref;                 // the Pod, Deployment, ...
  istio::Labels labels, annotations;  // the pod's
  std::string service_account = "default";
  const istio::Node* pod = nullptr;  // where metadata and spec of the pod are; the world's
  std::string path;                  // to it: "", "spec.template", ...
  bool host_network = false;
  bool refuses_sidecar = false;  // sidecar.istio.io/inject: "false"; the label counts first
  bool has_proxy = false;        // a container istio-proxy, or an annotation of the injector
  bool placed = false;           // a Pod with a status: what it has now is all that it gets
};

// Where the pod of a document of that kind is: "" for Pod, "spec.template" for Deployment, ...;
// null for kinds without one.
const char* pod_path(std::string_view kind);

// `document`: a whole one of a kind that has a pod. Keeps pointers into it.
Workload read_workload(const istio::Node& document, ResourceRefPtr ref);

// Of all its containers; a UDP port is none.
struct ContainerPort {
  std::string name;
  uint16_t number = 0;
};
std::vector<ContainerPort> container_ports(const Workload& workload);

// Where the workload takes what is sent to that port of a service; 0: its targetPort is a name that
// no container has.
uint16_t container_port(const istio::ServicePort& port, const Workload& workload);

// Whether what comes in at the port goes to the sidecar (traffic.sidecar.istio.io/...InboundPorts).
bool captures_inbound(const Workload& workload, uint16_t port);

// The node at "a.b[0].c" below `node`; null when absent.
const istio::Node* find(const istio::Node& node, std::string_view path);
// The line of the last key of `path` that is there; at least the node's own.
int line_of(const istio::Node& node, std::string_view path);
std::string scalar(const istio::Node* node);  // "" unless it is one
istio::Labels string_map(const istio::Node* node);

}  // namespace sallyport::analyze
