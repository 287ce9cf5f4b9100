#include "agent/net/pump.h"

#include <fcntl.h>

#include <cerrno>

#include "agent/net/relaying.h"

namespace sallyport::net {
namespace {

constexpr int turns = 32;  // fills and drains in a row before others have their turn

}  // namespace

Pump::Pump(Relaying& relaying, Socket& from, Socket& to, uint64_t& delivered)
    : Op([](Op& op) { return static_cast<Pump&>(op).run(); }),
      relaying_(relaying),
      from_(from),
      to_(to),
      delivered_(delivered) {}

bool Pump::run() {
  for (int i = 0; i < turns; i++) {
    const bool draining = held() > 0;
    Socket& socket = draining ? to_ : from_;
    const IoStep step = draining ? drain() : fill();
    if (held() == 0 && (step.want != Want::nothing || step.bytes <= 0)) let_go();
    if (step.want != Want::nothing) return wait(socket, step.want);
    if (step.bytes < 0) return relaying_.failed(socket);
    if (step.bytes == 0 && !draining) {
      ended_ = true;
      if (relaying_.both_ended()) return relaying_.over(to_);
      to_.shutdown_write();
      return false;
    }
    relaying_.moved();
  }
  from_.loop.defer(*this);
  return false;
}

bool Pump::wait(Socket& socket, Want want) {
  if (socket.timed_out) return relaying_.idle_too_long();
  socket.wait(*this, want);
  return false;
}

IoStep Pump::fill() {
  if (splicing()) return fill_pipe();
  if (!from_.more_at_hand()) return {0, Want::read};
  if (!buffer_) buffer_ = Buffers::take();
  const IoStep step = from_.read({buffer_.get(), Buffers::size});
  if (step.want != Want::nothing || step.bytes <= 0) return step;
  begin_ = 0;
  end_ = static_cast<uint32_t>(step.bytes);
  bulk_ = end_ == Buffers::size;
  // All there is before an end that was seen: both go on as one packet.
  if (!bulk_ && from_.ended && from_.ssl() == nullptr && !from_.is_broken()) to_.end_follows = true;
  return step;
}

IoStep Pump::fill_pipe() {
  if (from_.readable && !pipe_) pipe_ = Pipe::take();
  if (!from_.readable || !pipe_) {  // Without a pipe bytes go on through buffers.
    bulk_ = false;
    return fill();
  }
  const ssize_t got = splice(from_.fd, nullptr, pipe_.write_end(), nullptr, Pipe::capacity,
                             SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got >= 0) {
    in_pipe_ = static_cast<uint32_t>(got);
    return {got, Want::nothing};
  }
  if (errno != EAGAIN && errno != EINTR) return from_.failed(errno);
  if (errno == EINTR) return fill_pipe();
  from_.readable = false;
  bulk_ = false;
  return {0, Want::read};
}

IoStep Pump::drain() {
  if (in_pipe_ > 0) return drain_pipe();
  iovec left{buffer_.get() + begin_, end_ - begin_};
  const IoStep step = to_.write({&left, 1});
  if (step.want != Want::nothing || step.bytes < 0) return step;
  begin_ += static_cast<uint32_t>(step.bytes);
  delivered_ += static_cast<uint64_t>(step.bytes);
  return step;
}

// A short splice does not say why it was short, so only EAGAIN clears the readiness.
IoStep Pump::drain_pipe() {
  if (!to_.writable) return {0, Want::write};
  const ssize_t sent = splice(pipe_.read_end(), nullptr, to_.fd, nullptr, in_pipe_,
                              SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (sent >= 0) {
    in_pipe_ -= static_cast<uint32_t>(sent);
    delivered_ += static_cast<uint64_t>(sent);
    return {sent, Want::nothing};
  }
  if (errno == EINTR) return drain_pipe();
  if (errno != EAGAIN) return to_.failed(errno);
  to_.writable = false;
  return {0, Want::write};
}

void Pump::let_go() {
  buffer_.reset();
  begin_ = end_ = 0;
  if (pipe_) pipe_.give_back();
}

}  // namespace sallyport::net
