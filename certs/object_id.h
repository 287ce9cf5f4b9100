// Tells one certificate or set of roots from its successor of the same name.
#pragma once
#include <atomic>
#include <cstdint>

namespace sallyport::certs {

// Never 0, never twice in a process; any thread.
inline uint64_t next_object_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace sallyport::certs
