// The one thread that writes the access log: takes blocks of lines from the workers and writes them
// to a file or an inherited descriptor. Inside this module only.
//
// Threading: hand_over() from any thread, without a lock; the file is the log thread's alone.
// Ownership: a block belongs to its writer until hand_over(), then to the log thread, which gives
// it back by way of the channel's free list or frees it. Failure: a write that fails loses its
// block, counted; the next block is tried as if nothing had been. A full pipe makes this thread
// wait, nobody else.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::observe {

struct Channel;

struct Block {
  static constexpr std::size_t usual = 32 * 1024;  // some hundred lines: one wake-up for them all
  explicit Block(Channel& of, std::size_t room)
      : channel(of), bytes(new char[room]), capacity(room) {}
  Channel& channel;
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
};

// State of the thread; held by it and by the AccessLog, so that a thread stuck in write(2) on a
// dead disk can be left behind.
class LogThread : public std::enable_shared_from_this<LogThread> {
public:
  // `path` as in AccessLog::open. Error: the file can't be opened.
  static Result<std::shared_ptr<LogThread>> start(const std::string& path);
  ~LogThread();
  LogThread(const LogThread&) = delete;

  Channel& add_channel();  // any thread; lives as long as the LogThread
  void hand_over(std::unique_ptr<Block> block);
  void reopen();
  // Has what is queued written, for at most a second, and ends the thread.
  void stop();
  uint64_t dropped() const;
  uint64_t write_errors() const { return write_errors_.load(std::memory_order_relaxed); }
  std::string problem() const;  // of the last write or reopen that failed; empty: none since

private:
  explicit LogThread(std::string path) : path_(std::move(path)) {}
  bool open_file();
  void run();
  void write_queued();
  bool write_block(const Block& block);
  bool write_all(const char* bytes, std::size_t size);
  bool wait_writable();
  void recycle(std::unique_ptr<Block> block);
  void fail(int error);

  const std::string path_;
  int file_ = -1;
  int wake_ = -1, ended_ = -1;  // eventfds
  bool torn_ = false;           // the file ends in the middle of a line
  BlockStack queue_;
  std::atomic<bool> stopping_{false}, reopen_{false};
  std::atomic<uint64_t> write_errors_{0}, lost_{0};
  std::atomic<int> last_error_{0};
  mutable std::mutex mutex_;  // of channels_; never on a line's way
  std::vector<std::unique_ptr<Channel>> channels_;
};

}  // namespace sallyport::observe
