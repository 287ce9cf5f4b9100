// The front door for what enters the pod: connections redirected to 15006. PeerAuthentication says
// which of mutual TLS and plaintext is let in, AuthorizationPolicy who; the application is reached
// as Istio reaches it, never by TLS of ours.
#pragma once
#include "agent/mesh/authorization.h"
#include "agent/net/stream.h"
#include "agent/net/task.h"
#include "agent/proxy/client.h"

namespace sallyport::proxy {

class Worker;

// Serves one captured connection to its end; logs and counts it on every way out (but not a client
// that leaves without a byte). `worker` outlives the task.
net::Task<void> serve_inbound(net::Stream accepted, Worker& worker);

// The same, once it is known what was dialled.
net::Task<void> serve_peer(Client client, Worker& worker);

// What the policies say of a connection whose requests are not read. REQUIRES: client.inbound.
mesh::AuthorizationAnswer authorize_connection(const mesh::Authorization& policies,
                                               const Client& client);

// The same for one that is about to be carried to `to`. False: denied, logged, counted, closed.
bool let_in(Worker& worker, Client& client, const mesh::Cluster& to, int64_t start_us);

}  // namespace sallyport::proxy
