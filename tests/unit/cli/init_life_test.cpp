// `sallyport init` among others of its kind, and ended before its time.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <regex>

#include "agent/cli/init.h"
#include "iptables/namespace_lock.h"
#include "tests/support/iptables_namespace.h"

namespace sallyport::cli {
namespace {

class InitLife : public rules::InNamespace {
protected:
  // In a process of its own, silent. Returns its pid.
  static pid_t begin(std::vector<std::string> arguments) {
    const pid_t child = fork();
    if (child != 0) return child;
    const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    arguments.insert(arguments.begin(), "init");
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    _exit(run_init(static_cast<int>(arguments.size()), argv.data()));
  }
  static int end_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  static std::vector<std::string> present() {
    const auto lock = rules::NamespaceLock::take();
    EXPECT_TRUE(lock);
    static const std::regex time("--datestop [^ ]+");  // told by each run's clock
    return rules::lines_of(std::regex_replace(all_rules(), time, "--datestop THEN"), "-A");
  }

  const std::vector<std::string> flags_{"-u", "1337",           "-i", "*",     "-b",
                                        "*",  "--drop-invalid", "-m", "TPROXY"};
};

TEST_F(InitLife, SeveralAtOnceWaitForEachOther) {
  std::vector<pid_t> all;
  for (int i = 0; i < 4; i++) all.push_back(begin(flags_));
  for (const pid_t one : all) EXPECT_EQ(end_of(one), 0);
  const auto rules = rules::run("ip rule");
  EXPECT_EQ(rules.find("0x539"), rules.rfind("0x539")) << rules;
  EXPECT_EQ(end_of(begin({"-i", "*"})), 1) << "other flags than those that are in force";
}

TEST_F(InitLife, KilledAtAnyMomentItLeavesTheRulesCompleteOrAsTheyWere) {
  ASSERT_EQ(end_of(begin(flags_)), 0);
  const auto complete = present();
  ASSERT_EQ(end_of(begin({"--cleanup-only"})), 0);
  int unfinished = 0;
  for (int step = 0; step < 25; step++) {
    const pid_t child = begin(flags_);
    usleep(static_cast<useconds_t>(step) * 3'000);
    kill(child, SIGKILL);
    if (end_of(child) == 128 + SIGKILL) unfinished++;
    const auto left = present();
    EXPECT_TRUE(left.empty() || left == complete) << step << ": " << all_rules();
    EXPECT_EQ(end_of(begin(flags_)), 0) << "the next one completes it";
    EXPECT_EQ(present(), complete);
    ASSERT_EQ(end_of(begin({"--cleanup-only"})), 0);
  }
  EXPECT_GT(unfinished, 5) << "or nothing was tried";
}

TEST_F(InitLife, AnInterruptDoesNotStopIt) {
  const pid_t child = begin(flags_);
  // Before there is somebody at work it is too early: nothing has begun then.
  const std::string process = std::to_string(child);
  const auto children = "/proc/" + process + "/task/" + process + "/children";
  std::string at_work;
  for (int i = 0; i < 20'000 && at_work.empty(); i++, usleep(1'000)) {
    std::ifstream file(children);
    std::getline(file, at_work);
  }
  ASSERT_NE(at_work, "");
  kill(child, SIGINT);
  end_of(child);
  bool done = false;
  for (int i = 0; i < 200 && !done; i++, usleep(20'000)) done = !present().empty();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace sallyport::cli
