// Opaque bytes to a cluster: plain TCP, TLS passed through by SNI, HTTP/2 by prior knowledge.
#pragma once
#include <string>

#include "agent/core/shared_text.h"
#include "agent/mesh/cluster.h"
#include "agent/proxy/client.h"
#include "agent/upstream/upstreams.h"

namespace sallyport::proxy {

class Worker;

struct TcpPlan {
  mesh::ClusterPtr cluster;
  SharedText sni;                 // of the client's hello; for the log
  upstream::Connection upstream;  // opened already, else empty
  const char* note = "";          // what is wrong with the client's first bytes; for the log
  bool client_tls = false;        // the client speaks TLS itself
};

// Carries the plan out and logs it. What lies in client.inbox goes upstream first.
net::Task<void> serve_tcp(Client client, Worker& worker, TcpPlan plan);

// What such a connection brings along for choosing an endpoint.
upstream::Need tcp_need(Client& client, const mesh::Cluster& cluster);

// Logs a connection that is closed without an upstream (BlackHoleCluster, a loop, a client that
// left, a failed connect).
struct TcpRefusal {
  const Client& client;
  std::string_view cluster, sni;
  uint32_t flags = 0;
  std::string_view details, termination_details, failure_reason, downstream_failure_reason;
  SocketAddress upstream_host;
  int64_t start_us = 0;
};
void log_refusal(Worker& worker, const TcpRefusal& refusal);

// The same for an upstream that could not be reached.
void log_failure(Worker& worker, const Client& client, const TcpPlan& plan,
                 const upstream::Failure& failure, int64_t start_us);

}  // namespace sallyport::proxy
