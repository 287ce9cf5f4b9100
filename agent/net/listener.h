// A worker's own listening socket (SO_REUSEPORT), accepted from on the loop.
#pragma once
#include <functional>
#include <memory>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/net/stream.h"

namespace sallyport::net {

struct ListenOptions {
  bool v6_only = true;       // else an unspecified IPv6 address is dual-stack
  bool transparent = false;  // for TPROXY: takes what is for other addresses and ports
};

// Opens a listening socket without accepting: binding errors show at start, before threads are
// made. The file of a unix socket that is there already counts as left behind, and is replaced
// (Envoy does the same); any other file is an error. Unlike a port it can't be opened twice:
// threads share it by dup().
Result<int> open_listening_socket(SocketAddress at, ListenOptions options = {});

// The file of a unix socket, when nobody listens any more. Nothing else is ever removed.
void remove_socket_file(const SocketAddress& at);

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
  // Whether a TCP connection is accepted only when its client's first bytes are there (one wake-up
  // for both), or after a second of silence. Not for protocols in which the server speaks first.
  void await_first_bytes(bool wanted);

private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::net
