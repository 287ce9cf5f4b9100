// Header values of VirtualServices with Envoy's %VARIABLES% in them, as text of one request.
//
// Threading: one a worker, its thread only. Limits: limits::header_formats.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "agent/observe/log_format.h"
#include "tls/session_facts.h"

namespace sallyport::proxy {

class HeaderValues {
public:
  // `warn` (may be empty) is told of a value that is no format, when it is first met.
  explicit HeaderValues(std::function<void(const std::string&)> warn) : warn_(std::move(warn)) {}

  // Heads as they came, `response` empty while there is none; `upstream`: the connection's TLS,
  // null while there is none.
  struct Facts {
    std::string_view request, response;
    const SSL* upstream = nullptr;
  };
  // What the request does not have is left out, as Envoy does it. A value that is no format is its
  // own text.
  std::string text_of(const std::string& value, observe::AccessRecord& record, const Facts& facts);

private:
  struct Parsed {
    std::optional<observe::LogFormat> format;  // none: it can't be parsed
    observe::LogScratch scratch;
  };
  Parsed& parsed(const std::string& value);

  std::function<void(const std::string&)> warn_;
  std::unordered_map<std::string, Parsed> parsed_;
};

}  // namespace sallyport::proxy
