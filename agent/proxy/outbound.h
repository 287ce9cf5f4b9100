// The front door for what leaves the pod: connections redirected to 15001.
#pragma once
#include "agent/net/stream.h"
#include "agent/net/task.h"

namespace sallyport::proxy {

class Worker;

// Serves one captured connection to its end; logs and counts it on every way out (but not a client
// that leaves without a byte). `worker` outlives the task.
net::Task<void> serve_outbound(net::Stream accepted, Worker& worker);

}  // namespace sallyport::proxy
