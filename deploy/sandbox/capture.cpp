// Sandbox::capture: tcpdump on the node's end of a pod's link.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>
#include <cstring>

#include "deploy/sandbox/sandbox.h"

namespace sallyport::sandbox {

namespace {

constexpr int catch_up_rounds = 200;  // of 10 ms

std::string read_line(int fd) {
  std::string line;
  char letter;
  while (read(fd, &letter, 1) == 1 && letter != '\n') line += letter;
  return line;
}

// tcpdump answers SIGUSR1 with "tcpdump: 3 packets captured, 3 packets received by filter, ...": it
// has caught up with the kernel when both are the same.
bool caught_up(pid_t pid, int said) {
  if (kill(pid, SIGUSR1) != 0) return true;
  const std::string line = read_line(said);
  unsigned captured = 0, received = 0;
  const char* counts = std::strstr(line.c_str(), "tcpdump: ");
  if (line.empty() || !counts) return line.empty();
  return std::sscanf(counts, "tcpdump: %u packet%*[^,], %u", &captured, &received) == 2 &&
         captured >= received;
}

}  // namespace

Capture::Capture(Capture&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      said_(std::move(other.said_)),
      file_(std::move(other.file_)) {}

Capture& Capture::operator=(Capture&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(said_, other.said_);
  std::swap(file_, other.file_);
  return *this;
}

void Capture::stop() {
  if (pid_ <= 0) return;
  for (int i = 0; i < catch_up_rounds && !caught_up(pid_, said_.get()); ++i) usleep(10'000);
  kill(pid_, SIGINT);
  wait_for(std::exchange(pid_, -1));
}

Result<Capture> Sandbox::capture(const std::string& pod, const std::string& file,
                                 const std::string& filter) {
  auto way_in = entrance(pod);
  if (!way_in) return way_in.error();
  const int node = way_in->fds[5].get();
  // Packet-buffered, so that the file is whole whenever it is looked at; as root, as the file may
  // lie in a root's place.
  std::vector<std::string> argv = {
      "tcpdump", "-i", way_in->interface, "--immediate-mode", "-U", "-Z", "root", "-w", file};
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
  std::string line;
  while (line.find("listening on") == std::string::npos) {
    line = read_line(err.read.get());
    if (line.empty()) return failure("tcpdump did not start");
    if (line.starts_with("tcpdump: ") && line.find("listening") == std::string::npos &&
        line.find("data link type") == std::string::npos) {
      return failure(line);
    }
  }
  capture.said_ = std::move(err.read);
  return capture;
}

}  // namespace sallyport::sandbox
