// One direction of a relay as an Op: no coroutine, since ten thousand idle ones shall cost little.
//
// Small messages go through a recycled buffer (recv and send: two calls, and a short recv says that
// nothing is left); once a read fills the buffer, bytes go by splice(2) until the source runs dry.
// Buffer and pipe are held only while bytes are in them.
#pragma once
#include <cstdint>

#include "agent/net/buffers.h"
#include "agent/net/pipes.h"
#include "agent/net/socket.h"

namespace sallyport::net {

class Relaying;

class Pump : public Op {
public:
  Pump(Relaying& relaying, Socket& from, Socket& to, uint64_t& delivered);
  bool run();  // as far as it goes; true when the relay is over
  bool ended() const { return ended_; }

private:
  std::size_t held() const { return static_cast<std::size_t>(end_ - begin_) + in_pipe_; }
  bool plain() const { return from_.ssl() == nullptr && to_.ssl() == nullptr; }
  bool splicing() const { return bulk_ && plain(); }
  IoStep fill();
  IoStep fill_pipe();
  IoStep drain();
  IoStep drain_pipe();
  void let_go();  // of the buffer or pipe, which is empty
  bool wait(Socket& socket, Want want);

  Relaying& relaying_;
  Socket& from_;
  Socket& to_;
  uint64_t& delivered_;
  Buffers::Lease buffer_;
  uint32_t begin_ = 0, end_ = 0;  // of the bytes in buffer_
  Pipe pipe_;
  uint32_t in_pipe_ = 0;
  bool bulk_ = false;
  bool ended_ = false;
};

}  // namespace sallyport::net
