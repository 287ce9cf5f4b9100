#include "agent/upstream/keepalive.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

namespace sallyport::upstream {

void set_keepalive(int fd, const mesh::KeepalivePolicy& policy) {
  const auto set = [fd](int level, int option, int64_t value) {
    const int number = static_cast<int>(std::min<int64_t>(value, INT32_MAX));
    if (number != 0) setsockopt(fd, level, option, &number, sizeof number);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPCNT, policy.probes);
  set(IPPROTO_TCP, TCP_KEEPIDLE, policy.time.count());
  set(IPPROTO_TCP, TCP_KEEPINTVL, policy.interval.count());
}

}  // namespace sallyport::upstream
