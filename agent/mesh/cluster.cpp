#include "agent/mesh/cluster.h"

namespace sallyport::mesh {

std::string why_no_endpoint(const Cluster& cluster) {
  if (!cluster.unready) return "no endpoint is configured";
  return "no endpoint is ready, says " + cluster.unready->text();
}

}  // namespace sallyport::mesh
