#include "agent/cli/listening.h"

#include <unistd.h>

namespace sallyport::cli {

std::vector<SocketAddress> everywhere(uint16_t port) {
  std::vector<SocketAddress> all{SocketAddress(IpAddress::v4(0), port)};
  const bool has_ipv6 = access("/proc/net/if_inet6", F_OK) == 0;
  if (has_ipv6) all.emplace_back(IpAddress::v6(in6_addr{}), port);
  return all;
}

}  // namespace sallyport::cli
