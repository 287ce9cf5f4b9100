// Stream: a connection, plain or TLS, as a move-only handle to a Socket at a fixed address (epoll
// points at it). Operations are awaiters that live in the caller's frame and retry inside the
// event: no coroutine frame each.
//
// Threading: its loop's thread. Ownership: destroying the Stream closes the socket (TLS:
// close_notify first). One reader and one writer may wait at the same time; both are destroyed no
// later than the Stream is closed, else they wait for ever. REQUIRES: the Stream dies before its
// loop.
#pragma once
#include <sys/uio.h>

#include <chrono>
#include <span>
#include <string>
#include <utility>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/net/socket.h"
#include "tls/ssl.h"

namespace sallyport::net {

class Stream {
public:
  Stream() = default;
  Stream(Loop& loop, int fd);  // a non-blocking connected or connecting TCP or unix socket
  static Stream accepted(Loop& loop, int fd);  // from accept4, non-blocking
  Stream(Stream&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(socket_, other.socket_);
    return *this;
  }
  ~Stream() { close(); }
  explicit operator bool() const { return socket_ != nullptr; }

  // co_await: bytes > 0; 0: the peer has ended; -1 failed, failure() says why. REQUIRES: room in
  // `into`.
  auto read(std::span<char> into);
  // co_await: true when all of it went. The iovecs are consumed.
  auto write_all(std::span<iovec> pieces);
  auto write_all(std::string_view bytes);
  // co_await: 1 done, -1 failed. REQUIRES: start_tls was called.
  auto handshake();
  // co_await: returns when an attempt is worth making (also when the socket failed).
  auto ready(Want want);
  // co_await: returns once seen_end() is true, whatever lies unread before the end.
  auto ended();

  IoStep try_read(std::span<char> into);  // one attempt, never waits
  IoStep try_write(std::span<iovec> pieces);
  bool more_at_hand() const;        // bytes that need no wait (decrypted ones included)
  bool seen_end() const;            // FIN or error was seen: not to be pooled
  void start_tls(tls::SslPtr ssl);  // reads and writes go through it from now on
  bool is_tls() const;
  SSL* ssl() const;  // null when plain
  // What is written from now on is the last: close() or shutdown_write() follows at once, and its
  // FIN goes out in the same segment (one packet less a connection).
  void end_follows();
  void shutdown_write();  // half-close: FIN, or close_notify and FIN
  void abort();           // closes with RST (SO_LINGER 0)
  void close();

  // Coarse deadline (grain Loop::tick, never early): when it has passed, every operation that would
  // have to wait fails with Fault::timed_out, those that wait already included, until another
  // deadline is set. 0 takes it off.
  void set_deadline(std::chrono::milliseconds from_now);
  // As if its deadline had passed now: for who keeps a finer clock (Timer). Nothing when closed.
  void expire();

  int fd() const;
  Loop& loop() const;
  SocketAddress peer() const;   // getpeername, cached
  SocketAddress local() const;  // getsockname, cached
  // Why the last operation failed: reset, timed_out, tls_handshake, tls_verify ... with text.
  // `side` is the caller's.
  Error failure(Side side) const;

  Socket& socket() const { return *socket_; }  // for net's own sources

private:
  Socket* socket_ = nullptr;
};

// co_await: as from.read(into), but gives `other_ended` when `other` ends first (seen_end) while
// `from` has nothing: a proxy that waits for an answer learns so that nobody waits for it any more,
// without a second task.
inline constexpr ssize_t other_ended = -2;
auto read_unless_ended(Stream& from, std::span<char> into, Stream& other);
// The same into `into.room()`, which is asked for only when there is something to read: a wait
// holds no buffer.
template <class Into>
  requires requires(Into& into) { into.room(); }
auto read_unless_ended(Stream& from, Into& into, Stream& other);

// SO_ORIGINAL_DST (IPv4 and IPv6). Error when the socket was not redirected, or when the original
// destination is the listener itself (somebody dialled the capture port: a loop or a probe); both
// are Fault::denied.
Result<SocketAddress> original_destination(const Stream& stream);

// Where a connection comes from.
struct Source {
  IpAddress address = {};  // unset: the kernel chooses
  uint32_t mark = 0;       // not 0: of its packets, and the address need not be this machine's
};

// Connects; errors carry the address. `timeout` covers the TCP handshake only.
Task<Result<Stream>> connect(Loop& loop, SocketAddress to, std::chrono::milliseconds timeout,
                             Source source = {});

}  // namespace sallyport::net

#include "agent/net/stream_impl.h"
