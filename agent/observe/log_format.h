// An access log format, parsed once; then a line a record, with nothing allocated.
//
// As Envoy, text is not quoted nor escaped: a quote in a header stays one. No line can be forged
// with it: control characters never get past the HTTP parser, and are replaced by '_' here wherever
// the text comes from elsewhere (a certificate's name in a failure reason). JSON is escaped.
//
// Threading: immutable after parse(); a LogScratch is its writer's.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/observe/access_record.h"
#include "agent/observe/log_time.h"

namespace sallyport::observe {

// What a format asks for beside an AccessRecord's plain fields: whoever fills the record looks here
// first. Names in lower case.
struct LogNeeds {
  std::vector<std::string> request_headers, response_headers, trailers;
  bool upstream_tls = false, downstream_tls = false;
  void add(const LogNeeds& more);
};

// What a writer keeps between its lines.
struct LogScratch {
  std::vector<LogTime> times;
  std::string text;     // JSON: a value before it is escaped
  uint64_t random = 0;  // state of UNIQUE_ID's generator: seeded by scratch()
};

struct LogPlan;

class LogFormat {
public:
  // Istio's default formats; see pilot/pkg/model/telemetry_logging.go.
  static const char* const istio;
  static const char* const istio_json;

  // Empty: `istio`. A missing line end is added, as Istio does. Error: names the operator that
  // Envoy does not know or that can't be parsed.
  // `omit_empty`: an absent value is nothing instead of "-".
  static Result<LogFormat> parse(std::string_view format, bool omit_empty = false);
  // Empty: `istio_json`. Else a JSON object, whose values may be objects and lists again; a string
  // that is one operator becomes that operator's value with its type, or null. `omit_empty`: a
  // member whose value is null is left out, and within a string an absent value is nothing.
  static Result<LogFormat> parse_json(std::string_view format, bool omit_empty = false);
  // A header's value with operators in it: what is absent is left out, and no line end is added.
  static Result<LogFormat> parse_header_value(std::string_view value);

  const LogNeeds& needs() const;
  // Operators that Envoy knows and that are always "-" or null here, as the format has them: for a
  // warning.
  const std::vector<std::string>& never_known() const;
  LogScratch scratch() const;                           // what write() needs, one a writer
  std::size_t bound(const AccessRecord& record) const;  // no line of it is longer
  // `to` has room for bound(record). Returns the end.
  char* write(char* to, const AccessRecord& record, LogScratch& scratch) const;

private:
  explicit LogFormat(std::shared_ptr<const LogPlan> plan, bool json);
  std::size_t texts_of(const AccessRecord& record) const;
  std::size_t extras_of(const AccessRecord& record) const;

  std::shared_ptr<const LogPlan> plan_;
  bool json_;
  std::size_t fixed_ = 0;  // bytes of a line at most, without the record's texts
  std::size_t texts_ = 0;  // how often one of the record's texts may occur
  std::size_t kept_ = 0;   // how often one of its extras may
};

}  // namespace sallyport::observe
