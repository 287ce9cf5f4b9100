// What did not change from one snapshot to the next is one object in both: pools and TLS sessions
// of its clusters live on, and memory is shared. Pure.
#pragma once
#include <memory>

namespace sallyport::mesh {

// `old` (may be null) where both are equal.
template <class T>
std::shared_ptr<const T> reuse(T next, const std::shared_ptr<const T>& old) {
  if (old && next == *old) return old;
  return std::make_shared<const T>(std::move(next));
}

}  // namespace sallyport::mesh
