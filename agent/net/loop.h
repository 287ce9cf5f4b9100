// A worker's loop: one edge-triggered epoll for connections, with Asio's io_context (signals,
// c-ares, admin) nested in it. A batch of events is one epoll_wait. Ticks come from a timer of the
// kernel's, the only descriptor that time costs; fine timers from epoll_wait's timeout.
//
// Threading: everything on the worker's own thread, but post(), stop() and what Asio itself allows
// from any thread. Ownership: the loop owns sockets' memory until the batch of events in which they
// were closed is over, and every
//            task given to spawn(); destroying the loop destroys those tasks first. Streams,
//            Listeners and Timers held elsewhere die before their loop.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "agent/net/op.h"
#include "agent/net/task.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::net {

class Socket;  // agent/net/socket.h: fd, remembered readiness, deadline, TLS

class Loop {
public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds tick{250};  // grain of deadlines and of each_tick

  Loop();  // ignores SIGPIPE in the whole process from now on
  ~Loop();
  Loop(const Loop&) = delete;

  void run();                            // until stop()
  void stop();                           // any thread; run() may be called again afterwards
  void post(std::function<void()> job);  // any thread; runs on the loop's
  void spawn(Task<void> task);           // runs to its first suspension now; owned until it ends
  std::size_t spawned() const;           // tasks that have not ended
  void end_tasks();               // destroys them all, wherever they wait; outside run() only
  boost::asio::io_context& io();  // never run() it: the loop does
  Clock::time_point now() const { return now_; }  // of the current batch of events: no clock call

  // Called on every tick; returns a token that ends it when destroyed. REQUIRES: destroyed before
  // the loop.
  std::shared_ptr<void> each_tick(std::function<void()> job);

  // Has `op` attempted in the next batch of events. This is how a task is resumed by what is no
  // socket and no timer.
  void defer(Op& op);
  // One unit of the running task's share of the batch; false when it is used up and others shall
  // have their turn.
  bool spend() { return --share_ > 0; }

  // For net's own sources.
  // Takes the fd over. `writing`: whether it is told at once when it can be written to; if not, as
  // soon as a write has to wait.
  Socket* watch(int fd, bool writing);
  void watch_writing(Socket& socket);
  void close(Socket* socket);
  void watch(int fd, uint32_t epoll_events, EventSource& source);
  void rearm(int fd, uint32_t epoll_events, EventSource& source);
  void retire(
      std::shared_ptr<EventSource> source);  // freed after the batch; its fd is closed by now
  void run_op(Op& op);                       // attempts it, resumes its task when it is over
  uint32_t ticks() const { return ticks_; }  // since the loop was made, from 1
  void file_deadline(Socket& socket);        // its `deadline` became earlier than it was filed for
  class Timers;
  Timers& timers();

private:
  friend struct Op;
  static constexpr int share =
      64;  // operations of one task in a row that needed no wait: 1 MiB of 16 KiB reads
  struct State;
  void forget(Op& op) noexcept;
  void read_clock();
  void run_timers(uint32_t ticks_before);
  void run_deferred();
  void run_posted();

  std::unique_ptr<State> state_;
  Clock::time_point now_;
  uint32_t ticks_ = 1;
  int share_ = share;
};

// co_await sleep_for(loop, 25ms): fine timer, 1 ms grain. Cancelled by destroying the awaiting
// frame.
Task<void> sleep_for(Loop& loop, std::chrono::milliseconds duration);

}  // namespace sallyport::net
