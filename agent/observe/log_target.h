// Where lines go: an open file, or a descriptor that was inherited. Inside this module only.
//
// Threading: opened on the configuration thread, then used on the log thread alone, but for
// leave(), path() and `problem`.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "agent/core/error.h"

namespace sallyport::observe {

class LogTarget {
public:
  // `path` as in LogSettings. Error: it can't be opened.
  static Result<std::shared_ptr<LogTarget>> open(const std::string& path);
  ~LogTarget();
  LogTarget(const LogTarget&) = delete;

  // Opens the path anew. False: errno says why, and the old file stays.
  bool reopen();
  // Writes all of it, behind a line end if the last write was torn. While a pipe is full,
  // `patient` is asked now and then whether to go on waiting. 0, or the errno.
  int write(const char* bytes, std::size_t size, const std::function<bool()>& patient);

  const std::string& path() const { return path_; }
  void leave() { left_.store(true, std::memory_order_relaxed); }  // nothing new will come
  bool left() const { return left_.load(std::memory_order_relaxed); }
  std::atomic<int> problem{0};  // errno of the last write or reopen; 0: it went well; any thread

private:
  explicit LogTarget(std::string path) : path_(std::move(path)) {}
  int write_all(const char* bytes, std::size_t size, const std::function<bool()>& patient);
  bool wait_writable(const std::function<bool()>& patient);

  const std::string path_;
  int file_ = -1;
  bool torn_ = false;  // the file ends in the middle of a line
  std::atomic<bool> left_{false};
};

}  // namespace sallyport::observe
