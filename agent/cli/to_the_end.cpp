#include "agent/cli/to_the_end.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

namespace sallyport::cli {
namespace {

[[noreturn]] void work_alone(const std::function<int()>& work) {
  setsid();
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE}) std::signal(number, SIG_IGN);
  const int code = work();
  std::fflush(nullptr);
  _exit(code);
}

}  // namespace

int run_to_the_end(const std::function<int()>& work) {
  std::fflush(nullptr);
  std::signal(SIGCHLD, SIG_DFL);  // ignored, as some launcher may leave it, nobody's end is told
  const pid_t child = fork();
  if (child < 0) return work();  // no process to be had: as well as it goes
  if (child == 0) work_alone(work);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return 1;
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  std::fprintf(stderr, "sallyport: ended by signal %d before it was done\n", WTERMSIG(status));
  return 1;
}

}  // namespace sallyport::cli
