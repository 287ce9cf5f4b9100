// What the subcommands share: hints, help, log levels, completion scripts; and how proxy-config
// fails.
#include "agent/cli/command_line.h"

#include <fstream>

#include "agent/cli/completion.h"
#include "agent/cli/log_levels.h"
#include "agent/cli/logging.h"
#include "agent/cli/proxy_config.h"
#include "agent/core/suggest.h"
#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

TEST(Suggest, TheNearestWordIfOneIsNear) {
  const std::vector<std::string> known = {"sidecar", "init", "inject", "validate", "proxy-config"};
  EXPECT_EQ(nearest("valdate", known), "validate");
  EXPECT_EQ(nearest("vaildate", known), "validate") << "letters swapped";
  EXPECT_EQ(nearest("injct", known), "inject");
  EXPECT_EQ(nearest("proxy", known), "proxy-config") << "a beginning";
  EXPECT_EQ(nearest("nonsense", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), known), "");
  EXPECT_EQ(did_you_mean("int", known), "; did you mean \"init\"?");
  EXPECT_EQ(did_you_mean("nonsense", known), "");
}

TEST(LogLevels, AreReadAsIstioctlsFlag) {
  using Levels = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(*parse_levels("info"), (Levels{{"", "info"}}));
  EXPECT_EQ(*parse_levels("config:debug,main=error"),
            (Levels{{"config", "debug"}, {"main", "error"}}));
  EXPECT_EQ(*parse_levels("config:debug,warning"), (Levels{{"", "warning"}, {"config", "debug"}}))
      << "all of them first, or it would undo the others";
  EXPECT_EQ(*parse_levels(""), Levels{});
  for (const char* wrong : {"config:", ":debug", "info,,debug"}) {
    EXPECT_FALSE(parse_levels(wrong)) << wrong;
  }
}

TEST(Logging, EachLoggerHasItsOwnLevel) {
  using Levels = std::vector<std::pair<std::string, std::string>>;
  ASSERT_TRUE(start_logging("info"));
  EXPECT_EQ(log_levels(), (Levels{{"config", "info"}, {"main", "info"}}));
  EXPECT_TRUE(set_log_level("config", "error"));
  EXPECT_EQ(log_levels(), (Levels{{"config", "error"}, {"main", "info"}}));
  testing::internal::CaptureStderr();
  log_warning("of the configuration", Logger::config);
  log_warning("of the process");
  const auto told = testing::internal::GetCapturedStderr();
  EXPECT_FALSE(has(told, "of the configuration")) << told;
  EXPECT_TRUE(has(told, "\twarning\tof the process\n")) << told;
  EXPECT_FALSE(set_log_level("tls", "debug")) << "there is no such logger";
  EXPECT_FALSE(set_log_level("main", "loud")) << "there is no such level";
  EXPECT_TRUE(set_log_level("", "warn"));
  EXPECT_EQ(log_levels(), (Levels{{"config", "warning"}, {"main", "warning"}}));
}

struct FailureCase {
  std::vector<std::string> words;
  int exit_code;
  const char* told;
};

const FailureCase failure_cases[] = {
    {{}, 2, "Usage: sallyport proxy-config PART"},
    {{"secrt"}, 2, "there is no part \"secrt\"; did you mean \"secret\"?"},
    {{"secret", "--nmae", "x"}, 2, "there is no flag --nmae; did you mean \"--name\"?"},
    {{"secret", "sleep-0"}, 2, "kubectl exec sleep-0 -c istio-proxy -- sallyport proxy-config"},
    {{"cluster", "-o", "xml"}, 2, "--output"},
    {{"cluster", "--port", "0"}, 2, "--port"},
    {{"route", "--fqdn", "a.test"}, 2, "there is no flag --fqdn"},
    {{"log", "--level", "info", "--reset"}, 2, "--level cannot be combined with --reset"},
    {{"secret", "--admin", "here"}, 1, "--admin: \"here\" is not address:port"},
    {{"log", "--admin", "here"}, 1, "--admin: \"here\" is not address:port"},
    {{"s", "--admin", "127.0.0.1:1"}, 1, "is a proxy running in this pod?"},
    {{"c", "-f", "/nonexistent.json"}, 1, "/nonexistent.json can't be read: No such file"},
};

TEST(ProxyConfigCommand, AFailureIsOneLineWithAHint) {
  for (const auto& c : failure_cases) {
    const auto outcome = run_command(run_proxy_config, c.words);
    EXPECT_EQ(outcome.exit_code, c.exit_code) << c.told;
    EXPECT_TRUE(has(outcome.errors, c.told)) << outcome.errors;
    EXPECT_EQ(outcome.output, "") << c.told;
    if (c.words.empty()) continue;
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
  }
}

TEST(ProxyConfigCommand, ReadsASavedDump) {
  char path[] = "/tmp/sallyport-dump-XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << R"({"configs": [{"@type": "x.ClustersConfigDump",
    "dynamic_active_clusters": [{"cluster": {"name": "outbound|80||a.test"}}]}]})";
  const auto table = run_command(run_proxy_config, {"cluster", "-f", path});
  EXPECT_EQ(table.exit_code, 0) << table.errors;
  EXPECT_TRUE(has(table.output, "\na.test ")) << table.output;
  const auto short_one = run_command(run_proxy_config, {"c", "--file", path, "-o", "short"});
  EXPECT_EQ(short_one.output, table.output);
  const auto other = run_command(run_proxy_config, {"listeners", "-f", path});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_TRUE(has(other.errors, std::string(path) + ": the dump has no ListenersConfigDump"))
      << other.errors;
  std::ofstream(path) << "<html>";
  EXPECT_TRUE(has(run_command(run_proxy_config, {"c", "-f", path}).errors,
                  std::string(path) + ": no JSON: "));
  unlink(path);
}

TEST(ProxyConfigCommand, EveryPartHasHelpWithAnExample) {
  for (const char* part : {"all", "cluster", "endpoint", "listener", "log", "route", "secret"}) {
    const auto outcome = run_command(run_proxy_config, {part, "--help"});
    EXPECT_EQ(outcome.exit_code, 0) << part;
    EXPECT_TRUE(has(outcome.output, std::string("Example:\n    sallyport proxy-config ") + part))
        << outcome.output;
  }
  EXPECT_TRUE(has(run_command(run_proxy_config, {"--help"}).output, "\n  secret, secrets, s "));
}

TEST(Completion, PrintsTheScriptOfTheShellThatIsAskedFor) {
  EXPECT_TRUE(
      has(run_command(run_completion, {"bash"}).output, "complete -o default -F _sallyport"));
  EXPECT_TRUE(run_command(run_completion, {"zsh"}).output.starts_with("#compdef sallyport\n"));
  EXPECT_TRUE(has(run_command(run_completion, {"fish"}).output, "complete -c sallyport"));
  EXPECT_EQ(run_command(run_completion, {"--help"}).exit_code, 0);
  const auto wrong = run_command(run_completion, {"bsh"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_TRUE(has(wrong.errors, "did you mean \"bash\"?")) << wrong.errors;
  EXPECT_EQ(run_command(run_completion, {}).exit_code, 2);
}

}  // namespace
}  // namespace sallyport::cli
