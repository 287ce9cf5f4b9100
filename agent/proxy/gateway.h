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

// The chain that would take the client on the newest configuration; null: none. Lives as long as
// `config`. REQUIRES: client.of_gateway(), and a chain took it.
const mesh::GatewayChainPtr* chain_now(const mesh::Snapshot& config, const Client& client);
// Whether the server that took such a client is there still, as `now`, and would end its TLS as it
// was ended.
bool is_still_served(const mesh::GatewayChainPtr* now, const InboundSide& was);

}  // namespace sallyport::proxy
