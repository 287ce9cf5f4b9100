// A worker's own listening socket (SO_REUSEPORT), accepted from on the loop.
#pragma once
#include <functional>
#include <memory>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/net/stream.h"

namespace sallyport::net {

// Opens a listening socket without accepting: binding errors show at start, before threads are
// made. For an unspecified IPv6 address it is dual-stack unless `v6_only`.
Result<int> open_listening_socket(SocketAddress at, bool v6_only = true);

class Listener {
public:
  // Takes `listening_fd` over. `accepted` is called on the loop's thread, at most 64 times in a
  // row. When descriptors run out (EMFILE, ENFILE) it pauses for a tick instead of spinning, and
  // `starved` is called once per pause.
  Listener(Loop& loop, int listening_fd, std::function<void(Stream)> accepted,
           std::function<void()> starved = {});
  ~Listener();  // closes the listening socket
  Listener(const Listener&) = delete;
  SocketAddress local() const;

private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::net
