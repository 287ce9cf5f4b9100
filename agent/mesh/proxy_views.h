// For those that look at resources through the eyes of every proxy that they tell apart (validate,
// analyze). Pure.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/compile.h"

namespace sallyport::mesh {

// A pod that is known, or the template of some.
struct PodLabels {
  std::string namespace_name, name;  // name: empty for a template
  istio::Labels labels;
};

// One sidecar a namespace with rules, and one a selector there; limits::validated_proxies of them
// at most.
std::vector<istio::Proxy> sidecar_views(const Resources& resources);

// The gateways' proxies: one a namespace and set of labels among the pods that a Gateway's selector
// takes. Without such a pod one in the Gateway's namespace that has the selector's labels. As many
// at most.
std::vector<istio::Proxy> router_views(const Resources& resources,
                                       const std::vector<PodLabels>& pods);

}  // namespace sallyport::mesh
