// The access log: formatted on the worker into its own block, written by one thread that does
// nothing else, so a slow or full disk delays neither requests nor rotation. Beyond
// limits::log_queue_bytes lines are dropped and counted.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "agent/core/error.h"
#include "agent/observe/access_record.h"

namespace sallyport::observe {

class AccessLog {
public:
  // `path`: "" off; "/dev/stdout" and "/dev/stderr" write to that descriptor; else a file, appended
  // to. `format`: "" for Istio's default text format; see log_format.h. Errors: the file can't be
  // opened; an unknown operator (named).
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path,
                                                 const std::string& format);
  ~AccessLog();                   // writes out what is queued, for at most a second
  void reopen();                  // any thread; after rotation
  uint64_t dropped() const;       // lines; any thread
  uint64_t write_errors() const;  // any thread
  std::string problem() const;    // "/var/log/a: No space left on device"; empty: all is well

  // One a worker, used on its thread only. Destroyed before the log.
  class Writer {
  public:
    ~Writer();
    bool on() const;  // false: skip collecting what only the log needs
    void write(const AccessRecord& record);
    void flush();  // hands the block to the log thread; called each tick

  private:
    friend class AccessLog;
    struct State;
    explicit Writer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  std::unique_ptr<Writer> writer();  // any thread

private:
  struct State;
  explicit AccessLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::observe
