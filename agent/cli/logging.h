// The process's own log (not the access log), on stderr, in the layout of Istio's agent:
//   2026-11-21T08:00:00.000000Z<tab>info<tab>text
// Threading: any thread.
#pragma once
#include <string>
#include <string_view>

namespace sallyport::cli {

// False: no such level. Istio's and Envoy's names: trace, debug, info, warning (warn), error,
// critical, off.
bool start_logging(std::string_view level);
// Changes it while running. False: no such level, nothing changed.
bool set_log_level(std::string_view level);
void log_info(std::string_view text);
void log_warning(std::string_view text);
void log_error(std::string_view text);

}  // namespace sallyport::cli
