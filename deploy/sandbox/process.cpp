#include "deploy/sandbox/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace sallyport::sandbox {
namespace {

constexpr std::size_t output_max =
    16 * 1024 * 1024;  // of a command; what comes after is read and dropped

[[noreturn]] void run_child(const std::vector<char*>& argv, int in, int out, int err, int net_fd) {
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (net_fd >= 0 && setns(net_fd, CLONE_NEWNET) != 0) _exit(126);
  execvp(argv[0], argv.data());
  dprintf(2, "%s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

// Appends what is there. False at the end.
bool drain(int fd, std::string& into) {
  std::array<char, 16384> buffer;
  const ssize_t bytes = read(fd, buffer.data(), buffer.size());
  if (bytes < 0) return errno == EINTR || errno == EAGAIN;
  const std::size_t room = into.size() < output_max ? output_max - into.size() : 0;
  into.append(buffer.data(), std::min(room, static_cast<std::size_t>(bytes)));
  return bytes > 0;
}

}  // namespace

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Error failure(std::string reason) {
  return {Fault::internal, Side::local, false, std::move(reason), {}};
}

Error system_error(const std::string& what) { return failure(what + ": " + strerror(errno)); }

std::vector<char*> c_strings(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

void converse(UniqueFd in, UniqueFd out, UniqueFd err, const std::string& input,
              CommandResult& result) {
  signal(SIGPIPE, SIG_IGN);
  fcntl(in.get(), F_SETFL, O_NONBLOCK);
  std::size_t sent = 0;
  if (input.empty()) in.reset();
  while (out || err) {
    std::array<pollfd, 3> ready = {
        {{in.get(), POLLOUT, 0}, {out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
    if (in && ready[0].revents) {
      const ssize_t bytes = write(in.get(), input.data() + sent, input.size() - sent);
      if (bytes > 0) sent += static_cast<std::size_t>(bytes);
      if (sent == input.size() || (bytes < 0 && errno != EAGAIN && errno != EINTR)) in.reset();
    }
    if (out && ready[1].revents && !drain(out.get(), result.out)) out.reset();
    if (err && ready[2].revents && !drain(err.get(), result.err)) err.reset();
  }
}

int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 255;
  }
  return exit_code_of(status);
}

Result<CommandResult> run_command(const std::vector<std::string>& argv, const std::string& input,
                                  int net_fd) {
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe();
  if (!in.read || !out.read || !err.read) return system_error("pipe");
  const std::vector<char*> words = c_strings(argv);
  const pid_t pid = fork();
  if (pid < 0) return system_error("fork");
  if (pid == 0) run_child(words, in.read.get(), out.write.get(), err.write.get(), net_fd);
  in.read.reset();
  out.write.reset();
  err.write.reset();
  CommandResult result;
  converse(std::move(in.write), std::move(out.read), std::move(err.read), input, result);
  result.code = wait_for(pid);
  return result;
}

Result<std::string> run_checked(const std::vector<std::string>& argv, const std::string& input,
                                int net_fd) {
  auto result = run_command(argv, input, net_fd);
  if (!result) return result.error();
  if (result->code != 0) {
    return failure(argv[0] + " ended with " + std::to_string(result->code) + ": " + result->err);
  }
  return result->out;
}

bool write_file(const std::string& path, const std::string& content, mode_t mode) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return false;
  std::size_t sent = 0;
  while (sent < content.size()) {
    const ssize_t bytes = write(fd.get(), content.data() + sent, content.size() - sent);
    if (bytes <= 0) return false;
    sent += static_cast<std::size_t>(bytes);
  }
  return true;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

}  // namespace sallyport::sandbox
