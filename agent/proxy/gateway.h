// The front door of a gateway: connections to the ports that its Gateways open. The listener and
// the SNI choose a filter chain; it ends TLS or passes it through, and its requests or bytes go
// where VirtualServices say.
#pragma once
#include "agent/mesh/snapshot.h"
#include "agent/net/stream.h"
#include "agent/net/task.h"
#include "agent/proxy/client.h"

namespace sallyport::proxy {

class Worker;

// Serves one connection to its end; logs and counts it on every way out (but not a client that
// leaves without a byte). `worker` outlives the task.
net::Task<void> serve_gateway(net::Stream accepted, Worker& worker);

// Whether the server that took the client is there still and would end its TLS as it was ended.
// REQUIRES: client.of_gateway(), and a chain took it.
bool is_still_served(const mesh::Snapshot& config, const Client& client);
// The chain for the next request of such a client, on the newest configuration; null: nobody serves
// it any more. Lives as long as `config`.
const mesh::GatewayChainPtr* chain_now(const mesh::Snapshot& config, const Client& client);

}  // namespace sallyport::proxy
