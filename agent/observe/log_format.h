// An access log format, parsed once; then a line a record, with nothing allocated.
//
// As Envoy, text is not quoted nor escaped: a quote in a header stays one. No line can be forged
// with it: control characters never get past the HTTP parser, and are replaced by '_' here wherever
// the text comes from elsewhere (a certificate's name in a failure reason).
//
// Threading: immutable after parse(); the LogTimes are their writer's.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/observe/access_record.h"
#include "agent/observe/log_time.h"

namespace sallyport::observe {

class LogFormat {
public:
  // Istio's default text format; see pilot/pkg/model/telemetry_logging.go.
  static const char* const istio;

  // Empty: `istio`. A missing line end is added, as Istio does. Error: names the operator that is
  // unknown, or whose value an AccessRecord doesn't carry.
  static Result<LogFormat> parse(std::string_view format);

  std::vector<LogTime> times() const;                   // what write() needs, one set a writer
  std::size_t bound(const AccessRecord& record) const;  // no line of it is longer
  // `to` has room for bound(record). Returns the end.
  char* write(char* to, const AccessRecord& record, std::vector<LogTime>& times) const;

private:
  enum class Op : uint8_t;
  enum class Part : uint8_t { whole, ip, port };  // of an address
  struct Piece {
    Op op{};
    Part part = Part::whole;
    uint32_t at = 0,
             size = 0;  // literal: in text_; time: index; else `size` is the :length, 0 none
  };
  struct Named;
  struct Operator;
  static Result<Operator> read_operator(std::string_view format, std::size_t at);
  Result<Piece> piece_of(const Operator& op);
  void add_literal(std::string_view text);
  static char* write_text(char* to, Op op, const AccessRecord& record);
  static char* write_address(char* to, const Piece& piece, const AccessRecord& record);

  std::vector<Piece> pieces_;
  std::string text_;
  std::vector<std::string> time_formats_;
  std::size_t fixed_ = 0;    // bytes of a line at most, without the record's texts
  std::size_t repeats_ = 1;  // how often one operator occurs
};

}  // namespace sallyport::observe
