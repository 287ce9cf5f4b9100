#include <netinet/in.h>
#include <sys/socket.h>

// After netinet/in.h, or the kernel's headers define its types anew.
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <cerrno>
#include <cstring>

#include "agent/net/stream.h"

namespace sallyport::net {

namespace {

// Only a destination of the listener's own port can be the listener: the usual one costs no call.
bool is_listener(const SocketAddress& destination, const Stream& stream) {
  const uint16_t port = stream.socket().listening_port;
  return (port == 0 || port == destination.port()) && destination == stream.local();
}

}  // namespace

Result<SocketAddress> original_destination(const Stream& stream) {
  const bool six = stream.peer().ip().is_v6();
  sockaddr_storage storage{};
  socklen_t size = six ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (getsockopt(stream.fd(), six ? SOL_IPV6 : SOL_IP, six ? IP6T_SO_ORIGINAL_DST : SO_ORIGINAL_DST,
                 &storage, &size) != 0) {
    const int number = errno;
    // Nothing is known of the connection, or connection tracking is not even there: nobody
    // redirected it.
    const bool untracked =
        number == ENOENT || number == ENOPROTOOPT || number == EOPNOTSUPP || number == ENOTCONN;
    return Error{untracked ? Fault::denied : Fault::internal, Side::downstream, false,
                 "original destination of a connection to " + stream.local().text() + ": " +
                     std::strerror(number),
                 ""};
  }
  const auto original = SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage));
  if (is_listener(original, stream)) {
    return Error{
        Fault::denied, Side::downstream, false,
        "connection to " + stream.local().text() + " was dialled there directly, not redirected",
        ""};
  }
  return original;
}

}  // namespace sallyport::net
