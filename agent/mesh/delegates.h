// A delegate's rules in the place of the root rule that names it (istio/istio:
// pilot/pkg/model/virtualservice.go; measured in istio-api.md 7). Pure.
#pragma once
#include <vector>

#include "agent/istio/virtual_service.h"

namespace sallyport::mesh {

// Each rule of `delegate` under `root`: both must match; where they contradict each other, the rule
// is gone.
std::vector<istio::HttpRoute> merge_delegate(const istio::HttpRoute& root,
                                             const std::vector<istio::HttpRoute>& delegate);

}  // namespace sallyport::mesh
