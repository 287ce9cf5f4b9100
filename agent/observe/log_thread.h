// The one thread that writes the access log: takes blocks of lines from the workers and writes each
// to the target it was made for. Inside this module only.
//
// Threading: hand_over() from any thread, without a lock; targets are the log thread's alone.
// Ownership: a block belongs to its writer until hand_over(), then to the log thread, which gives
// it back by way of the channel's free list or frees it. A target is closed on the log thread, once
// nobody else refers to it. Failure: a write that fails loses its block, counted; the next block is
// tried as if nothing had been. A full pipe makes this thread wait, nobody else; one that is no
// longer the log's target only for a while (limits::log_left_pipe_time).
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "agent/observe/log_target.h"

namespace sallyport::observe {

struct Channel;

struct Block {
  static constexpr std::size_t usual = 32 * 1024;  // some hundred lines: one wake-up for them all
  Block(Channel& of, std::size_t room) : channel(of), bytes(new char[room]), capacity(room) {}
  Channel& channel;
  std::shared_ptr<LogTarget> target{};  // of its lines
  const std::unique_ptr<char[]> bytes;
  const std::size_t capacity;
  std::size_t size = 0, lines = 0;
  Block* next = nullptr;
};

// Blocks handed from thread to thread: pushed one by one, taken all at once (so that no ABA can
// be).
class BlockStack {
public:
  BlockStack() = default;
  BlockStack(const BlockStack&) = delete;
  ~BlockStack();
  void push(std::unique_ptr<Block> block);
  Block* take_all() { return head_.exchange(nullptr, std::memory_order_acquire); }  // newest first

private:
  std::atomic<Block*> head_{nullptr};
};

// What a writer and the log thread share.
struct Channel {
  static constexpr int spare_max = 4;  // free blocks kept
  BlockStack spare;
  std::atomic<int> spares{0};
  std::atomic<std::size_t> queued{0};  // bytes of the blocks handed over and not yet written
  std::atomic<uint64_t> dropped{0};    // lines
  const uint64_t number;               // 1, 2, ... of its LogThread
  explicit Channel(uint64_t which) : number(which) {}
};

// State of the thread; held by it and by the AccessLog, so that a thread stuck in write(2) on a
// dead disk can be left behind.
class LogThread : public std::enable_shared_from_this<LogThread> {
public:
  using Tell = std::function<void(const std::string&)>;
  // `tell` as in AccessLog::open. The thread itself begins with the first target. Error: no
  // descriptors are left.
  static Result<std::shared_ptr<LogThread>> create(Tell tell);
  ~LogThread();
  LogThread(const LogThread&) = delete;

  Channel& add_channel();  // any thread; lives as long as the LogThread
  void hand_over(std::unique_ptr<Block> block);
  // One thread. Blocks may be handed over with these from now on, and reopen() and problem() are
  // about them; those of before that are not among them get nothing new. None twice counts once.
  void set_targets(std::vector<std::shared_ptr<LogTarget>> targets);
  void reopen();  // any thread
  void wake();    // any thread: looks whether a target can be closed
  // Has what is queued written, for at most a second, and ends the thread.
  void stop();
  uint64_t dropped() const;
  uint64_t write_errors() const { return write_errors_.load(std::memory_order_relaxed); }
  // Of the current targets whose last write or reopen failed; empty: of none.
  std::string problem() const;

private:
  explicit LogThread(Tell tell) : tell_(std::move(tell)) {}
  void start_once();
  void run();
  void reopen_current();
  void write_queued();
  void write_block(const Block& block);
  void recycle(std::unique_ptr<Block> block);
  void close_targets();
  std::vector<std::shared_ptr<LogTarget>> current() const;
  void fail(LogTarget& target, int error);
  void goes_well(LogTarget& target);
  void tell(const LogTarget& target, const std::string& what) const;

  const Tell tell_;
  int wake_ = -1, ended_ = -1;  // eventfds
  bool started_ = false;        // set_targets's thread
  BlockStack queue_;
  std::atomic<bool> stopping_{false}, reopen_{false};
  std::atomic<uint64_t> write_errors_{0}, lost_{0};
  mutable std::mutex mutex_;  // of what follows; never on a line's way
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<std::shared_ptr<LogTarget>> targets_;  // all that may still be written to
  std::vector<std::shared_ptr<LogTarget>> current_;  // none: the log is off
};

}  // namespace sallyport::observe
