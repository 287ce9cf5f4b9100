#include "agent/observe/log_thread.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace sallyport::observe {
namespace {

constexpr int stop_ms = 1000;
constexpr int writable_ms = 100;  // how often a wait for a full pipe looks at stopping_

void signal_event(int fd) {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the event is there already.
  [[maybe_unused]] const auto n = ::write(fd, &one, sizeof one);
}

int open_target(const std::string& path) {
  if (path == "/dev/stdout") return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (path == "/dev/stderr") return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  // Non-blocking for the sake of named pipes; files don't care.
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
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

Result<std::shared_ptr<LogThread>> LogThread::start(const std::string& path) {
  std::shared_ptr<LogThread> log(new LogThread(path));
  log->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  log->ended_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (log->wake_ < 0 || log->ended_ < 0 || !log->open_file()) {
    Error error{Fault::internal, Side::local};
    error.context = "access log " + path + ": " + std::strerror(errno);
    return error;
  }
  // Signals are for the main loop; and a reader that has left a pipe must not raise SIGPIPE here.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread(&LogThread::run, log).detach();  // holds a reference; stop() waits for its end
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return log;
}

LogThread::~LogThread() {
  for (int fd : {file_, wake_, ended_})
    if (fd >= 0) ::close(fd);
}

bool LogThread::open_file() {
  const int fd = open_target(path_);
  if (fd < 0) return false;
  if (file_ >= 0) ::close(file_);
  file_ = fd;
  torn_ = false;
  return true;
}

Channel& LogThread::add_channel() {
  const std::lock_guard lock(mutex_);
  return *channels_.emplace_back(std::make_unique<Channel>());
}

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
  const int error = last_error_.load(std::memory_order_relaxed);
  return error ? path_ + ": " + std::strerror(error) : std::string();
}

void LogThread::fail(int error) {
  last_error_.store(error, std::memory_order_relaxed);
  write_errors_.fetch_add(1, std::memory_order_relaxed);
}

void LogThread::run() {
  for (;;) {
    const bool last = stopping_.load(std::memory_order_acquire);  // before the queue is looked at
    if (reopen_.exchange(false, std::memory_order_acquire) && !open_file()) fail(errno);
    write_queued();
    if (last) break;
    pollfd wake{wake_, POLLIN, 0};
    poll(&wake, 1, -1);
    uint64_t events;
    [[maybe_unused]] const auto n = ::read(wake_, &events, sizeof events);
  }
  signal_event(ended_);
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
    if (!write_block(*block)) lost_.fetch_add(block->lines, std::memory_order_relaxed);
    recycle(std::move(block));
  }
}

bool LogThread::write_block(const Block& block) {
  if (torn_ && !write_all("\n", 1)) return false;
  if (!write_all(block.bytes.get(), block.size)) return false;
  last_error_.store(0, std::memory_order_relaxed);
  return true;
}

bool LogThread::write_all(const char* bytes, std::size_t size) {
  while (size) {
    const ssize_t n = ::write(file_, bytes, size);
    if (n > 0) {
      torn_ = bytes[n - 1] != '\n';
      bytes += n;
      size -= static_cast<std::size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && wait_writable()) continue;
    fail(n < 0 ? errno : EIO);
    return false;
  }
  return true;
}

bool LogThread::wait_writable() {
  for (;;) {
    pollfd writable{file_, POLLOUT, 0};
    const int ready = poll(&writable, 1, writable_ms);
    if (ready > 0) return true;
    if (ready == 0 && stopping_.load(std::memory_order_acquire)) return errno = EAGAIN, false;
  }
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
