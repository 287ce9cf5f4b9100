// Copies of requests for the clusters that a rule mirrors to: sent once the whole request has come
// in, their answers read and thrown away. Nothing of it reaches the client or its log line.
#pragma once
#include <string>

#include "agent/mesh/route.h"
#include "agent/net/task.h"

namespace sallyport::proxy {

class Worker;

struct MirroredRequest {
  mesh::ClusterPtr cluster;
  std::string bytes;      // the whole request as it went to the rule's destination
  std::string method;     // an answer to HEAD has no body
  std::string authority;  // host without port, in lower case: SNI and name to verify
  SocketAddress original_destination;
  std::chrono::milliseconds timeout{0};  // the route's; 0: limits::mirror_time
};

// Counts what fails, and says no more of it (Envoy's shadow requests).
net::Task<void> send_mirrored(MirroredRequest request, Worker& worker);

}  // namespace sallyport::proxy
