// What did not change from one snapshot to the next is one object in both: pools and TLS sessions
// of its clusters live on, and memory is shared. Pure.
#pragma once
#include <memory>

#include "agent/core/resource_ref.h"

namespace sallyport::mesh {

// A file that was read again gives equal refs at other addresses: the old one is kept, so that ==
// sees no change.
inline void reuse_ref(ResourceRefPtr& next, const ResourceRefPtr& old) {
  if (next && old && *next == *old) next = old;
}

// `old` (may be null) where both are equal.
template <class T>
std::shared_ptr<const T> reuse(T next, const std::shared_ptr<const T>& old) {
  if (old && next == *old) return old;
  return std::make_shared<const T>(std::move(next));
}

}  // namespace sallyport::mesh
