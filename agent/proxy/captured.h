// What the redirect rules brought here: the beginning that both front doors share.
#pragma once
#include <optional>

#include "agent/proxy/client.h"

namespace sallyport::proxy {

class Worker;

// Counts the connection and asks the kernel what it dialled. Empty: it was not redirected (somebody
// dialled the capture port itself: a loop, or a probe); then it is logged, counted and closed.
std::optional<Client> captured(net::Stream accepted, Worker& worker);

}  // namespace sallyport::proxy
