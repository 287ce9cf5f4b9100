// The server's end of a TLS handshake, as far as both doors that end TLS share it.
#pragma once
#include <sys/types.h>

#include "agent/core/error.h"
#include "agent/proxy/client.h"
#include "tls/ssl.h"

namespace sallyport::proxy {

class Worker;

// Hands the client to `ssl`, which has read client.inbox already; an error there is the
// handshake's. False: it is over, logged and counted. REQUIRES: client.inbound.
bool start_tls(Worker& worker, Client& client, Result<tls::SslPtr> ssl, int64_t start_us);

// What came of it: `result` is that of client.stream.handshake(). False: it failed, is logged and
// counted, and the client is closed.
bool shook_hands(Worker& worker, Client& client, ssize_t result, int64_t start_us);

}  // namespace sallyport::proxy
