#include "agent/cli/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>

namespace sallyport::cli {

namespace {

using LoggerPtr = std::shared_ptr<spdlog::logger>;

// By name, as log_levels() lists them. Set before the first thread, never changed afterwards.
std::array<std::pair<const char*, LoggerPtr>, 2>& loggers() {
  static std::array<std::pair<const char*, LoggerPtr>, 2> all = {
      {{"config", nullptr}, {"main", nullptr}}};
  return all;
}

spdlog::logger& logger_of(Logger logger) {
  auto& chosen = loggers()[logger == Logger::config ? 0 : 1].second;
  return chosen ? *chosen : *spdlog::default_logger_raw();
}

std::optional<spdlog::level::level_enum> level_of(std::string_view text) {
  const std::string name = text == "warn" ? "warning" : text == "none" ? "off" : std::string(text);
  const auto level = spdlog::level::from_str(name);
  if (level == spdlog::level::off && name != "off") return std::nullopt;
  return level;
}

}  // namespace

bool start_logging(std::string_view level) {
  const auto parsed = level_of(level);
  if (!parsed) return false;
  const auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  for (auto& [name, logger] : loggers()) {
    logger = std::make_shared<spdlog::logger>(name, sink);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ\t%l\t%v", spdlog::pattern_time_type::utc);
    logger->set_level(*parsed);
    logger->flush_on(spdlog::level::info);
  }
  return true;
}

bool set_log_level(std::string_view logger, std::string_view level) {
  const auto parsed = level_of(level);
  if (!parsed) return false;
  bool found = false;
  for (const auto& [name, one] : loggers()) {
    if (!one || (!logger.empty() && logger != name)) continue;
    one->set_level(*parsed);
    found = true;
  }
  return found;
}

std::vector<std::pair<std::string, std::string>> log_levels() {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, logger] : loggers()) {
    if (!logger) continue;
    const auto level = spdlog::level::to_string_view(logger->level());
    out.emplace_back(name, std::string(level.data(), level.size()));
  }
  return out;
}

void log_info(std::string_view text, Logger logger) { logger_of(logger).info("{}", text); }
void log_warning(std::string_view text, Logger logger) { logger_of(logger).warn("{}", text); }
void log_error(std::string_view text, Logger logger) { logger_of(logger).error("{}", text); }

}  // namespace sallyport::cli
