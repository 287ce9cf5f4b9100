// Cipher suites and curves that servers of Gateways name and this OpenSSL lacks: they are skipped,
// and named. Configuration thread.
#pragma once
#include <vector>

#include "agent/istio/decode.h"
#include "agent/mesh/snapshot.h"

namespace sallyport::config {

std::vector<istio::Finding> missing_parameters(const mesh::Snapshot& snapshot);

}  // namespace sallyport::config
