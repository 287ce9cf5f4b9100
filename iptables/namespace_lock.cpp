#include "iptables/namespace_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "agent/core/limits.h"

namespace sallyport::rules {

Result<NamespaceLock> NamespaceLock::take() {
  Descriptor held(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (held.get() < 0)
    return Error{.context = std::string("/proc/thread-self/ns/net: ") + std::strerror(errno)};
  const auto end = std::chrono::steady_clock::now() + limits::iptables_time;
  while (flock(held.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return Error{.context =
                       std::string("locking the network namespace: ") + std::strerror(errno)};
    if (std::chrono::steady_clock::now() > end)
      return Error{.fault = Fault::timed_out,
                   .context = "another `sallyport init` of this network namespace is not done"};
    std::this_thread::sleep_for(limits::iptables_lock_delay);
  }
  return NamespaceLock(std::move(held));
}

}  // namespace sallyport::rules
