// Sandbox::capture: tcpdump on the node's end of a pod's link.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include <array>
#include <cstring>

#include "deploy/sandbox/sandbox.h"

namespace sallyport::sandbox {

Capture::Capture(Capture&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), file_(std::move(other.file_)) {}

Capture& Capture::operator=(Capture&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(file_, other.file_);
  return *this;
}

void Capture::stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGINT);
  wait_for(std::exchange(pid_, -1));
}

Result<Capture> Sandbox::capture(const std::string& pod, const std::string& file, const std::string& filter) {
  auto way_in = entrance(pod);
  if (!way_in) return way_in.error();
  const int node = way_in->fds[5].get();
  // Packet-buffered, so that the file is whole whenever it is looked at; as root, as the file may lie in a root's place.
  std::vector<std::string> argv = {"tcpdump", "-i", way_in->interface, "--immediate-mode", "-U", "-Z", "root",
                                   "-w",      file};
  if (!filter.empty()) argv.push_back(filter);
  const std::vector<char*> words = c_strings(argv);
  Pipe err = make_pipe();
  if (!err.read) return system_error("pipe");
  const pid_t pid = clone_process(0);
  if (pid < 0) return system_error("clone");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGINT);
    dup2(err.write.get(), 2);
    if (setns(node, CLONE_NEWNET) == 0) execvp(words[0], words.data());
    dprintf(2, "tcpdump: %s\n", strerror(errno));
    _exit(127);
  }
  err.write.reset();
  Capture capture;
  capture.pid_ = pid;
  capture.file_ = file;
  std::string said;
  std::array<char, 512> buffer;
  while (said.find("listening on") == std::string::npos) {
    const ssize_t bytes = read(err.read.get(), buffer.data(), buffer.size());
    if (bytes <= 0) return failure("capture: " + said);
    said.append(buffer.data(), static_cast<std::size_t>(bytes));
  }
  // tcpdump writes its counts when it ends; with our end of the pipe closed that would be SIGPIPE, after the file.
  return capture;
}

}  // namespace sallyport::sandbox
