// What every subcommand does with its command line: --help on stdout, a mistake in one line on
// stderr with a hint.
#pragma once
#include <optional>
#include <string>

namespace CLI {
class App;  // CLI11 stays in sources
}

namespace sallyport::cli {

inline constexpr int exit_usage = 2;

// nullopt: parsed, go on. Else the exit code: 0 after --help, 2 after a mistake.
std::optional<int> parse(CLI::App& app, int argc, char** argv);
// "sallyport init: REASON; see sallyport init --help" on stderr. Returns exit_usage.
int wrong_usage(const CLI::App& app, const std::string& reason);

}  // namespace sallyport::cli
