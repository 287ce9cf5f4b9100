#include "agent/cli/log_levels.h"

#include <algorithm>
#include <sstream>

#include "agent/cli/admin_client.h"
#include "agent/core/suggest.h"

namespace sallyport::cli {
namespace {

const std::vector<std::string> level_names = {"trace", "debug",    "info", "warning", "warn",
                                              "error", "critical", "off",  "none"};

// Of "active loggers:\n  config: info\n  main: info\n".
std::vector<std::string> names_in(const std::string& listing) {
  std::vector<std::string> out;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  ")) out.push_back(line.substr(2, line.find(':') - 2));
  }
  return out;
}

Result<void> check(const std::string& word, const char* what,
                   const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), word) != known.end()) return {};
  std::string all;
  for (const auto& one : known) all += (all.empty() ? "" : ", ") + one;
  return Error{.context = std::string("unrecognized ") + what + ": \"" + word + "\"" +
                          did_you_mean(word, known) + " (there are: " + all + ")"};
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> parse_levels(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> out;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto at = part.find_first_of(":=");
    const std::string logger = at == part.npos ? "" : part.substr(0, at);
    const std::string level = at == part.npos ? part : part.substr(at + 1);
    if (level.empty() || (at != part.npos && logger.empty())) {
      return Error{.context = "--level: \"" + text + "\" is neither LEVEL nor LOGGER:LEVEL,..."};
    }
    out.emplace_back(logger, level);
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.first.empty() && !b.first.empty();
  });
  return out;
}

Result<std::string> log_levels_of(const std::string& admin, const std::string& levels) {
  const auto address = SocketAddress::parse(admin);
  if (!address) return Error{.context = "--admin: \"" + admin + "\" is not address:port"};
  const auto wanted = parse_levels(levels);
  if (!wanted) return wanted.error();
  auto listing = ask_admin(*address, "POST", "/logging");
  if (!listing || wanted->empty()) return listing;
  for (const auto& [logger, level] : *wanted) {
    if (const auto known = check(level, "logging level", level_names); !known) return known.error();
    if (logger.empty()) continue;
    const auto known = check(logger, "logger name", names_in(*listing));
    if (!known) return known.error();
  }
  for (const auto& [logger, level] : *wanted) {
    const std::string name = logger.empty() ? "level" : logger;
    listing = ask_admin(*address, "POST", "/logging?" + name + "=" + level);
    if (!listing) return listing;
  }
  return listing;
}

}  // namespace sallyport::cli
