#include "deploy/sandbox/launch.h"

#include <fcntl.h>
#include <sched.h>

#include <cstring>

#include "deploy/sandbox/root_fs.h"

namespace sallyport::sandbox {
namespace {

std::string launch_error(const std::string& what) { return what + ": " + strerror(errno); }

void put_on_standard_descriptors(int output) {
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  dup2(output, 1);
  dup2(output, 2);
}

std::string start_in(const ContainerSpec& spec, const PodNamespaces& pod, int output) {
  if (setns(pod.net.get(), CLONE_NEWNET) != 0 || setns(pod.uts.get(), CLONE_NEWUTS) != 0 ||
      setns(pod.ipc.get(), CLONE_NEWIPC) != 0) {
    return launch_error("join the pod");
  }
  std::string error = make_root(spec);
  if (!error.empty()) return error;
  // So that a program may open /dev/stdout although it is not the supervisor's user.
  if (fchown(output, spec.process.identity.user, spec.process.identity.group) != 0)
    return launch_error("fchown");
  put_on_standard_descriptors(output);
  setsid();
  return become(spec.process);
}

}  // namespace

Result<Launched> launch(const ContainerSpec& spec, const PodNamespaces& pod, int own_pid) {
  Pipe output = make_pipe(), status = make_pipe();
  if (!output.read || !status.read) return system_error("pipe");
  fcntl(output.read.get(), F_SETFL, O_NONBLOCK);
  fcntl(status.read.get(), F_SETFL, O_NONBLOCK);
  if (setns(pod.pid.get(), CLONE_NEWPID) != 0) return system_error("join the pod's pid namespace");
  const pid_t pid = clone_process(0);
  if (pid == 0) {
    const std::string error = start_in(spec, pod, output.write.get());
    if (write(status.write.get(), error.data(), error.size()) < 0) _exit(126);
    _exit(127);
  }
  const int failed = pid < 0 ? errno : 0;
  if (setns(own_pid, CLONE_NEWPID) != 0)
    return system_error("come back from the pod's pid namespace");
  if (failed) return failure(std::string("clone: ") + strerror(failed));
  return Launched{pid, std::move(output.read), std::move(status.read)};
}

}  // namespace sallyport::sandbox
