#include "deploy/sandbox/enter.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

namespace sallyport::sandbox {
namespace {

sigset_t forwarded_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int each : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH})
    sigaddset(&set, each);
  return set;
}

[[noreturn]] void become_or_exit(const ProcessSpec& process) {
  const std::string error = become(process, true);
  dprintf(2, "%s\n", error.c_str());
  _exit(127);
}

}  // namespace

std::string join_namespaces(const Doors& doors) {
  // The mount namespace last: it decides what the others' paths would mean.
  const std::pair<int, int> all[] = {{doors.net, CLONE_NEWNET},
                                     {doors.uts, CLONE_NEWUTS},
                                     {doors.ipc, CLONE_NEWIPC},
                                     {doors.pid, CLONE_NEWPID},
                                     {doors.mnt, CLONE_NEWNS}};
  for (const auto& [fd, kind] : all) {
    if (setns(fd, kind) != 0) return std::string("join the pod: ") + strerror(errno);
  }
  return {};
}

int run_inside(const Doors& doors, const ProcessSpec& process) {
  const sigset_t signals = forwarded_signals();
  signal(SIGCHLD,
         SIG_DFL);  // A parent that ignores it makes us ignore it, and then nothing is told.
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const std::string error = join_namespaces(doors);
  if (!error.empty()) {
    dprintf(2, "%s\n", error.c_str());
    return 126;
  }
  const pid_t pid = clone_process(0);
  if (pid < 0) return 126;
  if (pid == 0) become_or_exit(process);
  for (;;) {
    siginfo_t info;
    if (sigwaitinfo(&signals, &info) < 0) continue;
    if (info.si_signo != SIGCHLD) {
      // What the terminal sends (SI_KERNEL) reaches the whole foreground group by itself.
      if (info.si_code != SI_KERNEL) kill(pid, info.si_signo);
      continue;
    }
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid && !WIFSTOPPED(status)) return exit_code_of(status);
  }
}

pid_t start_exec_probe(const Probe& probe, const PodNamespaces& pod, UniqueFd mount_namespace,
                       const ProcessSpec& container) {
  if (!mount_namespace) return -1;
  ProcessSpec process = container;
  process.argv = probe.command;
  if (process.argv.empty()) return -1;
  const pid_t pid = clone_process(0);
  if (pid != 0) return pid;
  const std::string error = join_namespaces(
      {pod.net.get(), pod.uts.get(), pod.ipc.get(), pod.pid.get(), mount_namespace.get()});
  if (!error.empty()) _exit(126);
  signal(SIGALRM, SIG_DFL);
  alarm(static_cast<unsigned>(std::max<int64_t>(1, probe.timeout.count())));
  const pid_t command = clone_process(0);
  if (command == 0) {
    const int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
    become_or_exit(process);
  }
  _exit(wait_for(command));
}

}  // namespace sallyport::sandbox
