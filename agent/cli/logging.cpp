#include "agent/cli/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace sallyport::cli {

namespace {

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
  auto logger = std::make_shared<spdlog::logger>("sallyport",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ\t%l\t%v", spdlog::pattern_time_type::utc);
  logger->set_level(*parsed);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return true;
}

bool set_log_level(std::string_view level) {
  const auto parsed = level_of(level);
  if (parsed) spdlog::default_logger()->set_level(*parsed);
  return parsed.has_value();
}

void log_info(std::string_view text) { spdlog::info("{}", text); }
void log_warning(std::string_view text) { spdlog::warn("{}", text); }
void log_error(std::string_view text) { spdlog::error("{}", text); }

}  // namespace sallyport::cli
