// A small poll(2) loop for the supervisor: descriptors, timers, ended children.
//
// Threading: one thread, which calls everything. Handlers may add and remove watches and timers.
#pragma once
#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <vector>

#include "deploy/sandbox/process.h"

namespace sallyport::sandbox {

class EventLoop {
public:
  using Clock = std::chrono::steady_clock;
  EventLoop();  // Blocks SIGCHLD, SIGTERM and SIGINT for this thread and takes them over.
  EventLoop(const EventLoop&) = delete;

  void watch(int fd, short events,
             std::function<void(short)> handler);  // Replaces an earlier watch of fd.
  void forget(int fd);
  void after(std::chrono::milliseconds delay, std::function<void()> action);
  void when_ended(pid_t pid,
                  std::function<void(int status)> handler);  // status as waitpid gives it
  void on_stop_signal(std::function<void()> handler) { stop_handler_ = std::move(handler); }
  void run();  // until stop()
  void stop() { stopped_ = true; }

private:
  void take_signals();
  void run_timers();
  int next_timeout_ms() const;

  UniqueFd signals_;
  bool stopped_ = false;
  std::map<int, std::pair<short, std::function<void(short)>>> watches_;
  std::multimap<Clock::time_point, std::function<void()>> timers_;
  std::map<pid_t, std::function<void(int)>> children_;
  std::function<void()> stop_handler_;
};

}  // namespace sallyport::sandbox
