// HTTP/1.0 and 1.1: a client's connection as a sequence of requests, each decided on the newest
// snapshot.
#pragma once
#include "agent/net/task.h"
#include "agent/proxy/client.h"

namespace sallyport::proxy {

class Worker;

// Serves requests until either side ends the connection. What lies in client.inbox is the beginning
// of the first.
net::Task<void> serve_http(Client client, Worker& worker);

}  // namespace sallyport::proxy
