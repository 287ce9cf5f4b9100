// The wall clock, for log records.
#pragma once
#include <cstdint>
#include <ctime>

namespace sallyport {

// Microseconds since 1970.
inline int64_t wall_clock_us() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace sallyport
