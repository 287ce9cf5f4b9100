// The coarse deadlines of sockets: a wheel of lists, one a tick. Moving a deadline later, as every
// request does, is a store in the socket; its place in the wheel is mended when the old one comes
// round.
//
// Threading: the loop's thread.
#pragma once
#include <array>
#include <cstdint>

#include "agent/net/op.h"

namespace sallyport::net {

class Deadlines {
public:
  static constexpr uint32_t slots = 256;  // 64 s of ticks; later ones are looked at once a round
  void file(Socket& socket);     // for its `deadline`, in ticks; takes it out when that is 0
  void removed(Socket& socket);  // before it is freed
  // Goes through the slot of `tick` and expires what is due at `now` (both in ticks).
  void expire(uint32_t tick, uint32_t now);

private:
  std::array<Link, slots> wheel_;
};

}  // namespace sallyport::net
