#include "agent/net/errors.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace sallyport::net {

Error error_of(int number, std::string context, Side side) {
  Error out;
  out.side = side;
  char room[128];
  out.context = std::move(context) + strerror_r(number, room, sizeof room);
  switch (number) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENOENT:  // a unix socket nobody listens on
      out.fault = Fault::refused;
      out.retryable = side == Side::upstream;
      break;
    case ETIMEDOUT:
      out.fault = Fault::timed_out;
      out.retryable = side == Side::upstream;
      break;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ENOTCONN:
    case EPROTO:
      out.fault = Fault::reset;
      out.retryable = side == Side::upstream;
      break;
    case EACCES:
    case EPERM:
      out.fault = Fault::denied;  // a firewall of this machine
      break;
    default:
      out.side = Side::local;  // descriptors, ports or memory have run out
      out.fault = Fault::internal;
  }
  return out;
}

namespace {
template <class Ask>
SocketAddress ask_for(Ask ask, int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const generic = reinterpret_cast<sockaddr*>(&storage);
  return ask(fd, generic, &size) == 0 ? SocketAddress::from(generic) : SocketAddress();
}

// unix(7): a path ends with NUL, an abstract name begins with one, and most sockets have neither.
SocketAddress unix_socket_in(const sockaddr_storage& storage, socklen_t size) {
  const auto& un = reinterpret_cast<const sockaddr_un&>(storage);
  std::string name(un.sun_path, size - offsetof(sockaddr_un, sun_path));
  if (name.empty()) return {};
  if (name.front() == '\0') {
    name.front() = '@';
  } else {
    name = name.substr(0, name.find('\0'));
  }
  return SocketAddress::unix_socket(name).value_or(SocketAddress());
}
}  // namespace

SocketAddress peer_of(int fd) { return ask_for(::getpeername, fd); }

SocketAddress local_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const generic = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd, generic, &size) != 0) return {};
  return storage.ss_family == AF_UNIX ? unix_socket_in(storage, size)
                                      : SocketAddress::from(generic);
}

}  // namespace sallyport::net
