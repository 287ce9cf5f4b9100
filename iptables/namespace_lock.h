// One at a time: who changes the redirects of a network namespace holds its lock, which is on the
// namespace itself (no file that a read-only pod would lack), and goes with its holder.
#pragma once
#include "agent/core/error.h"
#include "iptables/descriptor.h"

namespace sallyport::rules {

class NamespaceLock {
public:
  // Of the calling thread's network namespace. Waits for another holder, at most
  // limits::iptables_time. Errors: that time is over.
  static Result<NamespaceLock> take();

private:
  explicit NamespaceLock(Descriptor held) : held_(std::move(held)) {}
  Descriptor held_;
};

}  // namespace sallyport::rules
