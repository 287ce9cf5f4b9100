#include "agent/observe/log_thread.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "agent/core/limits.h"

namespace sallyport::observe {
namespace {

constexpr int stop_ms = 1000;

void signal_event(int fd) {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the event is there already.
  [[maybe_unused]] const auto n = ::write(fd, &one, sizeof one);
}

}  // namespace

BlockStack::~BlockStack() {
  for (Block* block = take_all(); block;) delete std::exchange(block, block->next);
}

void BlockStack::push(std::unique_ptr<Block> block) {
  Block* const raw = block.release();
  raw->next = head_.load(std::memory_order_relaxed);
  while (!head_.compare_exchange_weak(raw->next, raw, std::memory_order_release,
                                      std::memory_order_relaxed)) {
  }
}

Result<std::shared_ptr<LogThread>> LogThread::create(Tell tell) {
  std::shared_ptr<LogThread> log(new LogThread(std::move(tell)));
  log->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  log->ended_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (log->wake_ >= 0 && log->ended_ >= 0) return log;
  Error error{Fault::internal, Side::local};
  error.context = std::string("access log: eventfd: ") + std::strerror(errno);
  return error;
}

void LogThread::start_once() {
  if (std::exchange(started_, true)) return;
  // Signals are for the main loop; and a reader that has left a pipe must not raise SIGPIPE here.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // Holds a reference; stop() waits for its end.
  std::thread(&LogThread::run, shared_from_this()).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogThread::~LogThread() {
  for (int fd : {wake_, ended_})
    if (fd >= 0) ::close(fd);
}

Channel& LogThread::add_channel() {
  const std::lock_guard lock(mutex_);
  return *channels_.emplace_back(std::make_unique<Channel>(channels_.size() + 1));
}

void LogThread::set_targets(std::vector<std::shared_ptr<LogTarget>> targets) {
  const auto among = [](const auto& list, const std::shared_ptr<LogTarget>& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
  };
  const bool any = !targets.empty();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& target : current_)
      if (!among(targets, target)) target->leave();
    for (const auto& target : targets)
      if (!among(targets_, target)) targets_.push_back(target);
    current_ = std::move(targets);
  }
  if (any) start_once();
}

std::vector<std::shared_ptr<LogTarget>> LogThread::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void LogThread::close_targets() {
  std::vector<std::shared_ptr<LogTarget>> unused;  // closed without the lock
  const std::lock_guard lock(mutex_);
  std::erase_if(targets_, [&](std::shared_ptr<LogTarget>& target) {
    // Nobody can get another reference: it is no longer what the log writes to.
    const bool free = target->left() && target.use_count() == 1;
    if (free) unused.push_back(std::move(target));
    return free;
  });
}

void LogThread::wake() { signal_event(wake_); }

void LogThread::hand_over(std::unique_ptr<Block> block) {
  block->channel.queued.fetch_add(block->capacity, std::memory_order_relaxed);
  queue_.push(std::move(block));
  signal_event(wake_);
}

void LogThread::reopen() {
  reopen_.store(true, std::memory_order_release);
  signal_event(wake_);
}

void LogThread::stop() {
  if (!started_) return;
  stopping_.store(true, std::memory_order_release);
  signal_event(wake_);
  pollfd ended{ended_, POLLIN, 0};
  while (poll(&ended, 1, stop_ms) < 0 && errno == EINTR) {
  }
}

uint64_t LogThread::dropped() const {
  uint64_t lines = lost_.load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  for (const auto& channel : channels_) lines += channel->dropped.load(std::memory_order_relaxed);
  return lines;
}

std::string LogThread::problem() const {
  std::string out;
  std::set<const LogTarget*> told;
  for (const auto& target : current()) {
    const int error = target->problem.load(std::memory_order_relaxed);
    if (!error || !told.insert(target.get()).second) continue;
    if (!out.empty()) out += "; ";
    out += target->path() + ": " + std::strerror(error);
  }
  return out;
}

void LogThread::tell(const LogTarget& target, const std::string& what) const {
  if (tell_) tell_("access log " + target.path() + ": " + what);
}

// Told once, not for every block that is lost.
void LogThread::fail(LogTarget& target, int error) {
  write_errors_.fetch_add(1, std::memory_order_relaxed);
  if (target.problem.exchange(error, std::memory_order_relaxed) == error) return;
  tell(target,
       std::string(std::strerror(error)) + "; its lines are lost and counted until this is mended");
}

void LogThread::goes_well(LogTarget& target) {
  if (target.problem.exchange(0, std::memory_order_relaxed) == 0) return;
  tell(target, "written again, " + std::to_string(lost_.load(std::memory_order_relaxed)) +
                   " lines were lost");
}

void LogThread::run() {
  for (;;) {
    const bool last = stopping_.load(std::memory_order_acquire);  // before the queue is looked at
    if (reopen_.exchange(false, std::memory_order_acquire)) reopen_current();
    write_queued();
    close_targets();
    if (last) break;
    pollfd wake{wake_, POLLIN, 0};
    poll(&wake, 1, -1);
    uint64_t events;
    [[maybe_unused]] const auto n = ::read(wake_, &events, sizeof events);
  }
  signal_event(ended_);
}

void LogThread::reopen_current() {
  std::set<const LogTarget*> done;
  for (const auto& target : current())
    if (done.insert(target.get()).second && !target->reopen()) fail(*target, errno);
}

void LogThread::write_queued() {
  Block* newest = queue_.take_all();
  Block* oldest = nullptr;
  while (newest) {  // turn the order round
    Block* const next = std::exchange(newest->next, oldest);
    oldest = std::exchange(newest, next);
  }
  while (oldest) {
    std::unique_ptr<Block> block(std::exchange(oldest, oldest->next));
    write_block(*block);
    block->target.reset();
    recycle(std::move(block));
  }
}

void LogThread::write_block(const Block& block) {
  LogTarget& target = *block.target;
  const auto begin = std::chrono::steady_clock::now();
  const int error = target.write(block.bytes.get(), block.size, [&] {
    if (stopping_.load(std::memory_order_acquire)) return false;
    return !target.left() || std::chrono::steady_clock::now() - begin < limits::log_left_pipe_time;
  });
  if (!error) return goes_well(target);
  lost_.fetch_add(block.lines, std::memory_order_relaxed);
  fail(target, error);
}

void LogThread::recycle(std::unique_ptr<Block> block) {
  Channel& channel = block->channel;
  channel.queued.fetch_sub(block->capacity, std::memory_order_relaxed);
  if (block->capacity != Block::usual ||
      channel.spares.load(std::memory_order_relaxed) >= Channel::spare_max)
    return;
  channel.spares.fetch_add(1, std::memory_order_relaxed);
  block->size = block->lines = 0;
  channel.spare.push(std::move(block));
}

}  // namespace sallyport::observe
