#include "agent/net/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/net/errors.h"
#include "agent/net/timers.h"
#include "agent/net/transparent.h"

namespace sallyport::net {
namespace {

constexpr int in_a_row = 64;
constexpr int backlog = 4096;  // cut to net.core.somaxconn by the kernel

bool out_of_descriptors(int number) {
  return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

// Several sockets of one port, and one that was closed just now.
int share_port(int fd, bool v6, bool v6_only) {
  const int one = 1, only = v6_only ? 1 : 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) return errno;
  if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) return errno;
  return 0;
}

int bind_and_listen(int fd, const SocketAddress& at, const ListenOptions& options) {
  if (at.is_unix()) {
    remove_socket_file(at);
  } else if (const int number = share_port(fd, at.ip().is_v6(), options.v6_only)) {
    return number;
  }
  if (options.transparent) {
    if (const int number = set_transparent(fd, at.ip().is_v6())) return number;
  }
  sockaddr_storage storage;
  const socklen_t size = at.fill(storage);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) != 0) return errno;
  return listen(fd, backlog) == 0 ? 0 : errno;
}

}  // namespace

Result<int> open_listening_socket(SocketAddress at, ListenOptions options) {
  const int fd = socket(at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int number = fd < 0 ? errno : bind_and_listen(fd, at, options);
  if (number == 0) return fd;
  if (fd >= 0) ::close(fd);
  Error error = error_of(number, "listen on " + at.text() + ": ", Side::local);
  if (options.transparent && number == EPERM)
    error.context += ": TPROXY takes the capability NET_ADMIN";
  error.fault = Fault::internal;
  return error;
}

void remove_socket_file(const SocketAddress& at) {
  const std::string path(at.path());
  struct stat about;
  const bool is_file = path.starts_with('/');  // else an abstract name
  if (is_file && lstat(path.c_str(), &about) == 0 && S_ISSOCK(about.st_mode)) unlink(path.c_str());
}

// On the loop's own epoll and level-triggered: what is left after 64 is reported again in the next
// batch.
struct Listener::State final : EventSource, Timer {
  State(Loop& on, int takes_over, std::function<void(Stream)> accept, std::function<void()> starve)
      : Timer(on, [](Timer& timer) { static_cast<State&>(timer).resume(); }),
        loop(on),
        fd(takes_over),
        accepted(std::move(accept)),
        starved(std::move(starve)),
        local(local_of(takes_over)) {
    const int one = 1;  // Inherited by what it accepts: one call less a connection.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    loop.watch(fd, EPOLLIN, *this);
  }

  void on_events(uint32_t) override {
    for (int i = 0; i < in_a_row && fd >= 0; i++) {  // `accepted` may destroy the Listener.
      sockaddr_storage peer;
      socklen_t size = sizeof peer;
      auto* const address = reinterpret_cast<sockaddr*>(&peer);
      const int connection = accept4(fd, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection >= 0) {
        Stream stream = Stream::accepted(loop, connection);
        // Known for nothing now; when the connection has ended the kernel no longer tells.
        // Whoever dials a unix socket has no address: its path stands for it, as in Envoy.
        stream.socket().peer = local.is_unix() ? local : SocketAddress::from(address);
        stream.socket().listening_port = local.port();
        accepted(std::move(stream));
      } else if (out_of_descriptors(errno)) {
        return pause();
      } else if (errno == EAGAIN || errno == EBADF || errno == EINVAL) {
        return;
      }  // Anything else is the fault of one connection, which is gone.
    }
  }
  void pause() {
    loop.rearm(fd, 0, *this);
    arm(Loop::tick);
    if (starved) starved();
  }
  void resume() { loop.rearm(fd, EPOLLIN, *this); }

  Loop& loop;
  int fd;
  std::function<void(Stream)> accepted;
  std::function<void()> starved;
  const SocketAddress local;
};

Listener::Listener(Loop& loop, int listening_fd, std::function<void(Stream)> accepted,
                   std::function<void()> starved)
    : state_(std::make_shared<State>(loop, listening_fd, std::move(accepted), std::move(starved))) {
}

Listener::~Listener() {
  state_->disarm();
  ::close(std::exchange(state_->fd, -1));
  Loop& loop = state_->loop;
  loop.retire(std::move(state_));
}

void Listener::await_first_bytes(bool wanted) {
  const int seconds = wanted ? 1 : 0;
  setsockopt(state_->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

SocketAddress Listener::local() const { return state_->local; }

}  // namespace sallyport::net
