// Descriptors and child processes.
#pragma once
#include <sys/types.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::sandbox {

class UniqueFd {  // owns a descriptor
public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

private:
  int fd_ = -1;
};

struct Pipe {
  UniqueFd read, write;
};
Pipe make_pipe();  // both ends close-on-exec; empty ends when no descriptor is left

// "what: strerror(errno)" as an Error of this machine.
Error system_error(const std::string& what);
Error failure(std::string reason);

struct CommandResult {
  int code = 0;  // exit code, or 128 + signal
  std::string out, err;
};

// Runs a program to its end with `input` as its stdin, everything of it collected. Blocks.
// `net_fd`: the network namespace it runs in, or -1 for the caller's.
Result<CommandResult> run_command(const std::vector<std::string>& argv, const std::string& input,
                                  int net_fd = -1);

// As run_command, but an exit code other than 0 is an error with what the program wrote to stderr.
Result<std::string> run_checked(const std::vector<std::string>& argv, const std::string& input,
                                int net_fd = -1);

// Feeds `input` to `in`, reads `out` and `err` to their ends. Closes all three.
void converse(UniqueFd in, UniqueFd out, UniqueFd err, const std::string& input,
              CommandResult& result);

int exit_code_of(int wait_status);
int wait_for(pid_t pid);  // Blocks; returns exit_code_of, 255 when it is no child.

// C strings for execve; the strings must outlive the result.
std::vector<char*> c_strings(const std::vector<std::string>& texts);

bool write_file(const std::string& path, const std::string& content, mode_t mode = 0644);
std::string read_file(const std::string& path);  // empty when it can't be read

}  // namespace sallyport::sandbox
