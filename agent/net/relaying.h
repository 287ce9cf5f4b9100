// The awaiter of relay(): two pumps, and how they end.
#pragma once
#include <chrono>
#include <coroutine>

#include "agent/net/pump.h"
#include "agent/net/relay.h"

namespace sallyport::net {

class Relaying {
public:
  Relaying(Socket& client, Socket& upstream, RelayCounts& counts, std::chrono::milliseconds idle);
  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting);
  RelayEnd await_resume();

  // For the pumps. What returns bool says whether the relay is over.
  void moved();
  bool both_ended() const { return up_.ended() && down_.ended(); }
  // Whoever relayed closes both next, which sends the FIN: no shutdown() before.
  bool over(Socket& last) {
    last.close_notify();
    return true;
  }
  bool failed(Socket& socket) {
    failed_ = &socket;
    return true;
  }
  bool idle_too_long() {
    idle_too_long_ = true;
    return true;
  }

private:
  Socket& client_;
  Socket& upstream_;
  std::chrono::milliseconds idle_;
  Socket* failed_ = nullptr;
  bool idle_too_long_ = false;
  Pump up_, down_;
};

}  // namespace sallyport::net
