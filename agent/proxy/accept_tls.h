// The server's end of a TLS handshake, as far as both doors that end TLS share it.
#pragma once
#include "agent/core/error.h"
#include "agent/net/task.h"
#include "agent/proxy/client.h"
#include "tls/ssl.h"

namespace sallyport::proxy {

class Worker;

// Runs it on `ssl`, which has read client.inbox already and outlives the task; an error there is
// the handshake's. False: it is over, logged and counted. REQUIRES: client.inbound.
net::Task<bool> accept_tls(Worker& worker, Client& client, Result<tls::SslPtr>& ssl,
                           int64_t start_us);

}  // namespace sallyport::proxy
