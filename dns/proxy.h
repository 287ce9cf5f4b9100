// The DNS proxy that the redirect rules lead the application's questions to (istio-api.md 2.17;
// istio-agent's, on 127.0.0.1:15053). Names of the mesh are answered from the snapshot's name
// table, the others by the pod's servers, whose answers are kept while their TTLs hold.
//
// Threading: one a worker, its thread only. Ownership: its tasks run on the loop and refer to it:
// the loop's tasks are ended before the proxy is destroyed (Loop::end_tasks).
// Limits: limits::dns_proxy_*.
#pragma once
#include <memory>
#include <vector>

#include "agent/core/published.h"
#include "agent/mesh/snapshot.h"
#include "agent/observe/egress.h"
#include "agent/observe/metrics.h"
#include "dns/forwarder.h"

namespace sallyport::dns {

// One of each for an address a worker (SO_REUSEPORT).
struct ProxySockets {
  std::vector<int> udp, tcp;
};

// Adds the two sockets of `at`. They are to be opened by the user that the rules except: xt_owner
// looks at who opened a socket. Errors: Fault::internal, the address can't be had.
Result<void> open_proxy_sockets(const SocketAddress& at, ProxySockets& into);

bool is_own_address(const IpAddress& ip);  // of this network namespace

class Proxy {
public:
  struct Sources {  // outlive the proxy
    net::Loop& loop;
    const Published<mesh::Snapshot>& snapshots;
    observe::WorkerMetrics& metrics;
    observe::EgressTable* egress = nullptr;  // told of the addresses that servers give; may be null
  };
  // Takes the sockets over.
  Proxy(const Sources& sources, ProxySockets sockets, ForwarderOptions options);
  ~Proxy();
  Proxy(const Proxy&) = delete;

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::dns
