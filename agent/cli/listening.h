// Where a proxy listens.
#pragma once
#include <cstdint>
#include <vector>

#include "agent/core/address.h"

namespace sallyport::cli {

// The same port on every address of the pod, IPv4 and, where the kernel has it, IPv6.
std::vector<SocketAddress> everywhere(uint16_t port);

}  // namespace sallyport::cli
