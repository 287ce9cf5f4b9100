// The access log: formatted on the worker into its own block, written by one thread that does
// nothing else, so a slow or full disk delays neither requests nor rotation. Beyond
// limits::log_queue_bytes lines are dropped and counted.
#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "agent/observe/access_record.h"
#include "agent/observe/log_format.h"

namespace sallyport::observe {

// One logger: what it writes of which records, and where to.
struct LogSettings {
  std::string path;    // "/dev/stdout" and "/dev/stderr" write to that descriptor; else a file,
                       // appended to. Loggers may share one
  std::string format;  // "": Istio's default; see log_format.h
  bool json = false;
  bool omit_empty = false;
  std::string filter;  // see log_filter.h; "", or one that can't be read: every record
  bool client = true, server = true;  // of which side (AccessRecord::server_side)
  bool operator==(const LogSettings&) const = default;
};

class AccessLog {
public:
  // `tell`: gets a line when writing begins to fail and when it goes well again, on the log thread.
  // Errors: a file can't be opened; an unknown operator (named). Without a logger the log is off.
  static Result<std::unique_ptr<AccessLog>> open(const std::vector<LogSettings>& loggers,
                                                 std::function<void(const std::string&)> tell = {});
  ~AccessLog();  // writes out what is queued, for at most a second
  // Other settings from now on: each writer takes them up before its next line, and hands over what
  // it has written so far, which goes where it was meant to go. Errors as open's; then all the old
  // ones stay. One thread, the same each time.
  Result<void> change(const std::vector<LogSettings>& loggers);
  void reopen();                  // any thread; after rotation
  uint64_t dropped() const;       // lines; any thread
  uint64_t write_errors() const;  // any thread
  std::string problem() const;    // "/var/log/a: No space left on device"; empty: all is well

  // One a worker, used on its thread only. Destroyed before the log.
  class Writer {
  public:
    ~Writer();
    bool on() const { return on_; }  // false: skip collecting what only the log needs
    void write(const AccessRecord& record);
    void flush();  // hands the block to the log thread; called each tick

    // What formats and filters ask for beside plain fields. Whoever fills a record looks here, so
    // that nothing is collected that no line shows.
    const LogNeeds& needs() const { return *needs_; }
    // The head of the request as it goes to the upstream (or came, where none was reached), and of
    // the answer as it goes to the client. The last call counts. Without wanted headers no work.
    void keep_request(AccessRecord& record, std::span<const iovec> head) {
      if (!needs_->request_headers.empty()) keep(record, &AccessExtras::request, head);
    }
    void keep_response(AccessRecord& record, std::span<const iovec> head) {
      if (!needs_->response_headers.empty()) keep(record, &AccessExtras::response, head);
    }
    void keep_request(AccessRecord& record, std::string_view head);
    void keep_response(AccessRecord& record, std::string_view head);
    // CONNECTION_ID: differs for every connection of the process.
    uint64_t next_connection_id();

  private:
    friend class AccessLog;
    struct State;
    explicit Writer(std::unique_ptr<State> state);
    void take_up();
    void keep(AccessRecord& record, KeptHeaders AccessExtras::*which, std::span<const iovec> head);

    std::unique_ptr<State> state_;
    bool on_ = false;
    const LogNeeds* needs_;
  };
  std::unique_ptr<Writer> writer();  // any thread

private:
  struct State;
  explicit AccessLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::observe
