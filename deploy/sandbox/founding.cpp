#include "deploy/sandbox/founding.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstring>

#include "deploy/sandbox/supervisor.h"

namespace sallyport::sandbox {
namespace {

// Keeps two descriptors as 3 and 4 and closes all others; 0 to 2 become /dev/null.
void keep_only(UniqueFd& listener, UniqueFd& founder) {
  const int first = fcntl(listener.release(), F_DUPFD_CLOEXEC, 10);
  const int second = fcntl(founder.release(), F_DUPFD_CLOEXEC, 10);
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  dup3(first, 3, O_CLOEXEC);
  dup3(second, 4, O_CLOEXEC);
  close_range(5, ~0U, 0);
  listener = UniqueFd(3);
  founder = UniqueFd(4);
}

[[noreturn]] void supervise(UniqueFd listener, UniqueFd founder, const std::string& sallyport) {
  setsid();
  prctl(PR_SET_NAME, "sandbox");
  keep_only(listener, founder);
  if (chdir("/") != 0) _exit(1);
  const UniqueFd complaints(fcntl(founder.get(), F_DUPFD_CLOEXEC, 5));
  {
    Supervisor supervisor(std::move(listener), std::move(founder), sallyport);
    const auto ran = supervisor.run();
    // All gone before our end of the sockets closes, which is what a client that says "down" waits
    // for.
    kill(-1, SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) continue;
    if (ran) _exit(0);
    (void)send_frame(complaints.get(), {"error", ran.error().context});
  }
  _exit(1);
}

}  // namespace

Result<Founded> start_supervisor(const std::string& name, const std::string& sallyport) {
  if (geteuid() != 0) return failure("the sandbox makes network namespaces, which needs root");
  auto listener = listen_as(name);
  if (!listener) return listener.error();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return system_error("socketpair");
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const pid_t pid =
      clone_process(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
  if (pid < 0) return system_error("make the sandbox's namespaces");
  if (pid == 0) {
    ours.reset();
    supervise(std::move(*listener), std::move(theirs), sallyport);
  }
  return Founded{std::move(ours), pid};
}

}  // namespace sallyport::sandbox
