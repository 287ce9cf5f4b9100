// Socket: what a Stream is a handle to, at a fixed address. The fd with its remembered readiness
// (set by an event, cleared by EAGAIN or by a short read or write, so that no call known to fail is
// made), its deadline, TLS.
//
// Threading: the loop's thread. Ownership: the loop's (Loop::watch, Loop::close).
#pragma once
#include <sys/uio.h>

#include <chrono>
#include <memory>
#include <span>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/net/loop.h"
#include "agent/net/op.h"
#include "tls/ssl.h"

namespace sallyport::net {

using tls::IoStep;
using tls::Want;

class Socket final : public EventSource, public Link, public tls::Transport {
public:
  Socket(Loop& on, int takes_over) : loop(on), fd(takes_over) {}
  static void* operator new(std::size_t n) { return FrameCache::take(n); }
  static void operator delete(void* p, std::size_t n) noexcept { FrameCache::give(p, n); }

  // One attempt, through TLS where there is TLS.
  IoStep read(std::span<char> into);
  IoStep write(std::span<iovec> pieces);
  IoStep write_all(std::span<iovec>& pieces);  // as far as it goes; bytes 1 when all went
  IoStep handshake();
  bool more_at_hand() const;
  void start_tls(tls::SslPtr ssl);
  void drop_tls() { ssl_.reset(); }
  SSL* ssl() const { return ssl_.get(); }
  void shutdown_write();
  void close_notify();     // says goodbye if that makes sense; never waits
  void trim();             // gives back what OpenSSL holds for an idle connection
  bool is_broken() const;  // the kernel knows an error, of which a read tells behind what it has
  Error failure(Side side) const;

  void wait(Op& op, Want want);  // until an attempt is worth making
  void forget(Op& op) noexcept;
  void forget_all() noexcept;
  void set_deadline(std::chrono::milliseconds from_now);
  void expire();  // the deadline has passed

  // Of the socket itself, below TLS.
  IoStep transport_read(char* into, std::size_t size) override;
  IoStep transport_write(const char* from, std::size_t size) override;
  IoStep plain_write(std::span<iovec> pieces);
  IoStep failed(int number);
  void on_events(uint32_t epoll_events) override;

  Loop& loop;
  int fd;
  uint32_t deadline = 0;        // tick at which it expires; 0: none
  uint32_t filed = 0;           // tick under which it stands in the wheel; 0: it does not
  uint16_t listening_port = 0;  // of the Listener that accepted it; 0: none did
  uint16_t error : 8 = 0;       // errno of the last failure (Linux ends at 133); 0: none
  bool readable : 1 = false;
  bool writable : 1 = true;  // a connecting one says EAGAIN
  bool ended : 1 = false;    // FIN or error was seen: read on until 0, a short read proves nothing
  bool timed_out : 1 = false;
  bool established : 1 = false;  // the TLS handshake is done
  bool tls_failed : 1 = false;
  bool end_follows : 1 = false;  // what is written waits for the FIN that follows at once
  // Not of a connection that was accepted until a write has to wait: it can be written to from the
  // first, which would be an event, and mostly a wake-up, that says nothing.
  bool watches_writing : 1 = true;
  SocketAddress peer, local;

private:
  IoStep tls_result(IoStep step) {
    tls_failed |= step.want == Want::nothing && step.bytes < 0;
    return step;
  }
  IoStep tls_write(std::span<iovec> pieces);
  void wake(int direction);

  Op* waiting_[2] =
      {};  // read, write; more than one where TLS reads in order to write, or the reverse
  tls::SslPtr ssl_;
};
static_assert(sizeof(Socket) <= 120, "10,000 idle connections pay for every byte twice");

}  // namespace sallyport::net
