// The process's own log (not the access log), on stderr, in the layout of Istio's agent:
//   2026-11-21T08:00:00.000000Z<tab>info<tab>text
// A logger a subject, each with its own level.
// Threading: any thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::cli {

enum class Logger : uint8_t {
  main,    // start, readiness, draining, the access log's own troubles
  config,  // documents, secrets, what was refused and why
};

// False: no such level. Istio's and Envoy's names: trace, debug, info, warning (warn), error,
// critical, off (none).
bool start_logging(std::string_view level);
// Changes it while running; an empty logger is all of them. False: no such logger or level, nothing
// changed.
bool set_log_level(std::string_view logger, std::string_view level);
// Name and level of each logger, by name.
std::vector<std::pair<std::string, std::string>> log_levels();
void log_info(std::string_view text, Logger logger = Logger::main);
void log_warning(std::string_view text, Logger logger = Logger::main);
void log_error(std::string_view text, Logger logger = Logger::main);

}  // namespace sallyport::cli
