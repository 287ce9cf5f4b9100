#include "agent/observe/log_target.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sallyport::observe {
namespace {

constexpr int writable_ms = 100;  // how often a wait for a full pipe asks whether to go on

int open_path(const std::string& path) {
  if (path == "/dev/stdout") return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (path == "/dev/stderr") return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  // Non-blocking for the sake of named pipes; files don't care.
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
}

}  // namespace

Result<std::shared_ptr<LogTarget>> LogTarget::open(const std::string& path) {
  std::shared_ptr<LogTarget> target(new LogTarget(path));
  if (target->reopen()) return target;
  Error error{Fault::internal, Side::local};
  error.context = "access log " + path + ": " + std::strerror(errno);
  return error;
}

LogTarget::~LogTarget() {
  if (file_ >= 0) ::close(file_);
}

bool LogTarget::reopen() {
  const int fd = open_path(path_);
  if (fd < 0) return false;
  if (file_ >= 0) ::close(file_);
  file_ = fd;
  torn_ = false;
  return true;
}

int LogTarget::write(const char* bytes, std::size_t size, const std::function<bool()>& patient) {
  const int mended = torn_ ? write_all("\n", 1, patient) : 0;
  return mended ? mended : write_all(bytes, size, patient);
}

int LogTarget::write_all(const char* bytes, std::size_t size,
                         const std::function<bool()>& patient) {
  while (size) {
    const ssize_t n = ::write(file_, bytes, size);
    if (n > 0) {
      torn_ = bytes[n - 1] != '\n';
      bytes += n;
      size -= static_cast<std::size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && wait_writable(patient)) continue;
    return n < 0 ? errno : EIO;
  }
  return 0;
}

bool LogTarget::wait_writable(const std::function<bool()>& patient) {
  for (;;) {
    pollfd writable{file_, POLLOUT, 0};
    const int ready = poll(&writable, 1, writable_ms);
    if (ready > 0) return true;
    if (ready == 0 && !patient()) return errno = EAGAIN, false;
  }
}

}  // namespace sallyport::observe
