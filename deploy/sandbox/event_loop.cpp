#include "deploy/sandbox/event_loop.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>

namespace sallyport::sandbox {

EventLoop::EventLoop() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

void EventLoop::watch(int fd, short events, std::function<void(short)> handler) {
  watches_[fd] = {events, std::move(handler)};
}

void EventLoop::forget(int fd) { watches_.erase(fd); }

void EventLoop::after(std::chrono::milliseconds delay, std::function<void()> action) {
  timers_.emplace(Clock::now() + delay, std::move(action));
}

void EventLoop::when_ended(pid_t pid, std::function<void(int)> handler) {
  children_[pid] = std::move(handler);
}

int EventLoop::next_timeout_ms() const {
  if (timers_.empty()) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

void EventLoop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first <= Clock::now() && !stopped_) {
    const auto action = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    action();
  }
}

void EventLoop::take_signals() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD && stop_handler_) stop_handler_();
  }
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto known = children_.find(pid);
    if (known == children_.end()) continue;  // an orphan of some pod, now reaped
    const auto handler = std::move(known->second);
    children_.erase(known);
    handler(status);
  }
}

void EventLoop::run() {
  while (!stopped_) {
    std::vector<pollfd> ready = {{signals_.get(), POLLIN, 0}};
    for (const auto& [fd, watch] : watches_) ready.push_back({fd, watch.first, 0});
    if (poll(ready.data(), ready.size(), next_timeout_ms()) < 0 && errno != EINTR) return;
    if (ready[0].revents) take_signals();
    for (std::size_t i = 1; i < ready.size() && !stopped_; ++i) {
      const auto watch = watches_.find(ready[i].fd);
      if (!ready[i].revents || watch == watches_.end()) continue;
      const auto handler = watch->second.second;  // A copy: it may forget itself.
      handler(ready[i].revents);
    }
    run_timers();
  }
}

}  // namespace sallyport::sandbox
