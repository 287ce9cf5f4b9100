#include "agent/net/transparent.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

namespace sallyport::net {

int set_transparent(int fd, bool v6) {
  const int one = 1;
  const int done = v6 ? setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one)
                      : setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof one);
  return done == 0 ? 0 : errno;
}

}  // namespace sallyport::net
