// Errors of system calls on sockets as Errors with the names that the access log knows.
#pragma once
#include <string>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::net {

// `number` is an errno; the text is "context: Connection refused" with `context` as given
// ("connect 10.0.0.7:443: ").
Error error_of(int number, std::string context, Side side);

SocketAddress peer_of(int fd);   // getpeername; unset when it has none, or is no IP socket
SocketAddress local_of(int fd);  // getsockname; of unix sockets what was listened on has one

}  // namespace sallyport::net
