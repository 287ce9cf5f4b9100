#include "agent/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "agent/core/suggest.h"

namespace sallyport::cli {
namespace {

std::string one_line(std::string text) {
  for (char& c : text) c = c == '\n' ? ' ' : c;
  while (text.ends_with(' ') || text.ends_with('.')) text.pop_back();
  return text;
}

std::string unknown(const CLI::App& app) {
  const auto left = app.remaining();
  if (left.empty()) return "an argument too many";
  const std::string word = left.front().substr(0, left.front().find('='));
  if (!word.starts_with('-')) return "\"" + word + "\" is one argument too many";
  std::vector<std::string> known;
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
    for (const auto& name : option->get_snames()) known.push_back("-" + name);
  }
  return "there is no flag " + word + did_you_mean(word, known);
}

}  // namespace

int wrong_usage(const CLI::App& app, const std::string& reason) {
  const std::string& name = app.get_name();
  std::fprintf(stderr, "%s: %s; see %s --help\n", name.c_str(), one_line(reason).c_str(),
               name.c_str());
  return exit_usage;
}

std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ExtrasError&) {
    return wrong_usage(app, unknown(app));
  } catch (const CLI::ParseError& error) {
    return wrong_usage(app, error.what());
  }
  return std::nullopt;
}

}  // namespace sallyport::cli
