#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "agent/net/errors.h"
#include "agent/net/socket_owner.h"
#include "agent/net/stream.h"
#include "agent/net/timers.h"
#include "agent/net/transparent.h"

namespace sallyport::net {
namespace {

// Waits for the handshake's end or the time's, in one frame.
class Connecting : Op, Timer {
public:
  Connecting(Socket& socket, std::chrono::milliseconds timeout)
      : Op([](Op& op) { return static_cast<Connecting&>(op).answered(); }),
        Timer(socket.loop, [](Timer& timer) { static_cast<Connecting&>(timer).expired(); }),
        on_(socket),
        timeout_(timeout) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) {
    waiter = awaiting;
    on_.writable = false;
    on_.wait(*this, Want::write);
    arm(timeout_);
  }
  bool await_resume() const { return !expired_; }

private:
  bool answered() {
    disarm();
    return true;
  }
  void expired() {
    expired_ = true;
    Op::leave();
    waiter.resume();
  }
  Socket& on_;
  std::chrono::milliseconds timeout_;
  bool expired_ = false;
};

std::string written(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s"
                                  : std::to_string(time.count()) + " ms";
}

int bind_to(int fd, const SocketAddress& address) {
  sockaddr_storage storage;
  const socklen_t size = address.fill(storage);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0 ? 0 : errno;
}

// Below those that most clients choose theirs from.
constexpr uint32_t lowest_client_port = 10'240, client_ports = 32'768 - lowest_client_port;
constexpr int port_tries = 16;

// From the address of a client, with a mark. EADDRINUSE: try again, with another port. Returns an
// errno.
int bind_as_client(int fd, const SocketAddress& to, const Source& source) {
  const int yes = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_MARK, &source.mark, sizeof source.mark) != 0) return errno;
  if (const int number = set_transparent(fd, source.address.is_v6())) return number;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const auto port = static_cast<uint16_t>(lowest_client_port + arc4random_uniform(client_ports));
  const SocketAddress from(source.address, port);
  // Behind a translator clients have any port. The client's own connection from this one would get
  // our packets, and conntrack would take both for one.
  if (has_connection(to, from)) return EADDRINUSE;
  return bind_to(fd, from);
}

// Returns an errno.
int bind_to_source(int fd, const SocketAddress& to, const Source& source) {
  if (source.mark != 0) return bind_as_client(fd, to, source);
  // A port is chosen at connect(), by the whole tuple: 28,000 a peer, not in all.
  const int yes = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
  return bind_to(fd, SocketAddress(source.address, 0));
}

// Returns an errno.
int begin(int fd, const SocketAddress& to, const Source& source) {
  sockaddr_storage storage;
  const int yes = 1;
  if (!to.is_unix()) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (source.address.is_set() && !to.is_unix()) {
    if (const int number = bind_to_source(fd, to, source)) return number;
  }
  const socklen_t size = to.fill(storage);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0 ? 0 : errno;
}

struct Begun {
  int fd;
  int number;  // an errno: of socket(), or of what began the connection
};

// With a client's address the port is chosen before connect() can tell whether the whole tuple is
// free (EADDRNOTAVAIL): another one then.
Begun begin_with_socket(const SocketAddress& to, const Source& source) {
  for (int tries = source.mark != 0 ? port_tries : 1;; tries--) {
    const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return {fd, errno};
    const int number = begin(fd, to, source);
    if (tries == 1 || (number != EADDRNOTAVAIL && number != EADDRINUSE)) return {fd, number};
    ::close(fd);
  }
}

// What connect() says of a unix socket that can't be reached now, and error_of() takes for other
// things where there is a network. Null: nothing of the kind.
const char* unreachable(int number) {
  switch (number) {
    case EAGAIN:  // unix(7): at once, as there is nothing to wait for
      return "the server has as many connections waiting as its backlog takes";
    case ENOTDIR:
    case ELOOP:
      return "there is no such path";
    case EPROTOTYPE:
      return "it is no stream socket";
    case EACCES:
    case EPERM:
      return "permission denied: connecting takes leave to write to the socket";
    default:
      return nullptr;
  }
}

Error failed(const SocketAddress& to, int number) {
  const std::string what = "connect " + to.text() + ": ";
  if (const char* const why = to.is_unix() ? unreachable(number) : nullptr) {
    return {Fault::refused, Side::upstream, true, what + why, ""};
  }
  return error_of(number, what, Side::upstream);
}

}  // namespace

Task<Result<Stream>> connect(Loop& loop, SocketAddress to, std::chrono::milliseconds timeout,
                             Source source) {
  const auto [fd, begun] = begin_with_socket(to, source);
  if (fd < 0) co_return failed(to, begun);
  Stream stream(loop, fd);  // After connect(): an idle socket in epoll says that it is broken.
  if (begun != 0 && begun != EINPROGRESS) co_return failed(to, begun);
  if (begun != 0) {
    if (!co_await Connecting(stream.socket(), timeout)) {
      co_return Error{Fault::timed_out, Side::upstream, true,
                      "connect " + to.text() + ": timed out after " + written(timeout), ""};
    }
    int number = 0;
    socklen_t number_size = sizeof number;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &number_size);
    if (number != 0) co_return failed(to, number);
  }
  co_return std::move(stream);
}

}  // namespace sallyport::net
