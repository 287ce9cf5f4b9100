#include "agent/cli/os_limits.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace sallyport::cli {

// Every connection is up to two descriptors; the soft limit of 1,024 is for programs that use
// select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The calling thread, which loads configurations, leaves a core that it shares to the worker: a
// load takes a tenth of a second, and a worker that has something to do should wait for no more
// than a slice of it (Linux 6.12 and later take a wish for that; before, the nice value alone
// counts). Threads that it begins later are as nice: the access log's.
void give_way_to_workers() {
  constexpr int niceness = 10;  // about a tenth of a busy core
  setpriority(PRIO_PROCESS, 0, niceness);
  struct {  // sched_setattr(2); <linux/sched/types.h> does not go with <sched.h> here
    uint32_t size = 48, policy = SCHED_OTHER;
    uint64_t flags = 0;
    int32_t nice = niceness;
    uint32_t priority = 0;
    uint64_t runtime_ns = 100'000, deadline_ns = 0, period_ns = 0;
  } attributes;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace sallyport::cli
