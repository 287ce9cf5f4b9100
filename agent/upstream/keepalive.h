// tcpKeepalive of a rule or of the mesh, on an upstream socket.
#pragma once
#include "agent/mesh/load_policy.h"

namespace sallyport::upstream {

// What is 0 stays the system's. A kernel that refuses a value keeps its own (Envoy does no more).
void set_keepalive(int fd, const mesh::KeepalivePolicy& policy);

}  // namespace sallyport::upstream
