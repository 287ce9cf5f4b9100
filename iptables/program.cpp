#include "iptables/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "agent/core/limits.h"
#include "iptables/descriptor.h"

namespace sallyport::rules {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  Descriptor reader, writer;
  bool open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    reader.set(ends[0]);
    writer.set(ends[1]);
    return true;
  }
};

Error system_error(const std::string& what) {
  return {.fault = Fault::internal, .context = what + ": " + std::strerror(errno)};
}

// A file in memory rather than a pipe: the program may read its input when it likes, we never wait
// for that.
bool open_input(Descriptor& file, std::string_view input) {
  file.set(memfd_create("iptables input", MFD_CLOEXEC));
  while (file.get() >= 0 && !input.empty()) {
    const ssize_t written = write(file.get(), input.data(), input.size());
    if (written < 0) return false;
    input.remove_prefix(static_cast<std::size_t>(written));
  }
  return file.get() >= 0 && lseek(file.get(), 0, SEEK_SET) == 0;
}

// A started program: killed and reaped on every way out.
class Child {
public:
  Child() = default;
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Returns errno's value, 0 if it runs.
  int start(const std::vector<std::string>& arguments, int input, int output, int errors) {
    std::vector<char*> argv;
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    const int failure = posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) pid_ = -1;
    return failure;
  }

  int wait() {
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (ended < 0) return 127;  // how it ended nobody knows: not well
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

private:
  pid_t pid_ = -1;
};

// Appends what is there to read. False at the end of the file.
bool read_some(int fd, std::string& into) {
  char room[16384];
  const ssize_t got = read(fd, room, sizeof room);
  if (got > 0) into.append(room, static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

Result<void> collect(Pipe& output, Pipe& errors, ProgramResult& result, const std::string& name) {
  const auto deadline = Clock::now() + limits::iptables_time;
  pollfd polled[] = {{output.reader.get(), POLLIN, 0}, {errors.reader.get(), POLLIN, 0}};
  std::string* const texts[] = {&result.output, &result.errors};
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      return Error{.fault = Fault::timed_out,
                   .context = name + " was not done in time and was killed"};
    }
    if (poll(polled, 2, static_cast<int>(left.count())) < 0 && errno != EINTR)
      return system_error("poll");
    for (int i = 0; i < 2; i++) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      if (!read_some(polled[i].fd, *texts[i])) polled[i].fd = -1;
      polled[i].revents = 0;
    }
    if (result.output.size() + result.errors.size() > limits::iptables_output_bytes) {
      return Error{.fault = Fault::overflow, .context = name + " printed too much and was killed"};
    }
  }
  return {};
}

}  // namespace

std::string find_program(std::string_view name) {
  const char* const path = getenv("PATH");
  std::string_view rest =
      path != nullptr ? path : "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const auto colon = std::min(rest.find(':'), rest.size());
    std::string candidate = std::string(rest.substr(0, colon)) + "/" + std::string(name);
    if (colon > 0 && access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return {};
}

Result<ProgramResult> run_program(const std::vector<std::string>& arguments,
                                  std::string_view input) {
  const std::string& name = arguments.front();
  Descriptor file;
  Pipe output, errors;
  if (!open_input(file, input)) return system_error("input for " + name);
  if (!output.open() || !errors.open()) return system_error("pipe");
  Child child;
  if (const int failure =
          child.start(arguments, file.get(), output.writer.get(), errors.writer.get())) {
    errno = failure;
    return system_error(name);
  }
  output.writer.close();
  errors.writer.close();
  ProgramResult result;
  if (const auto collected = collect(output, errors, result, name); !collected)
    return collected.error();
  result.exit_code = child.wait();
  return result;
}

}  // namespace sallyport::rules
