// A worker's loop: Asio's io_context (accept, timers, signals, c-ares, admin) with one edge-triggered epoll fd for
// connections nested in it (architecture, "Threads and memory"). Which epoll is outermost is this file's own matter.
//
// Threading: everything on the worker's own thread, but post() and stop().
// Ownership: the loop owns sockets' memory until the batch of events in which they were closed is over, and every
//            task given to spawn(); destroying the loop destroys those tasks first.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "agent/net/task.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::net {

class Socket;  // agent/net/socket.h: fd, remembered readiness, deadline, TLS

class Loop {
public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds tick{250};  // grain of Stream deadlines and of each_tick

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;

  void run();                                // until stop()
  void stop();                               // any thread
  void post(std::function<void()> job);      // any thread; runs on the loop's
  void spawn(Task<void> task);               // runs to its first suspension now; owned until it ends
  std::size_t spawned() const;               // tasks that have not ended
  boost::asio::io_context& io();
  Clock::time_point now() const;             // of the current batch of events: no clock call

  // Called on every tick; returns a token that ends it when destroyed. REQUIRES: destroyed before the loop.
  std::shared_ptr<void> each_tick(std::function<void()> job);

  // For net's own sources.
  Socket* watch(int fd);                     // takes the fd over
  void close(Socket* socket);
  class Timers;
  Timers& timers();

private:
  struct State;
  std::unique_ptr<State> state_;
};

// co_await sleep_for(loop, 25ms): fine timer, 1 ms grain. Cancelled by destroying the awaiting frame.
Task<void> sleep_for(Loop& loop, std::chrono::milliseconds duration);

}  // namespace sallyport::net
