// Opaque bytes in both directions until both have ended: splice(2) where both sides are plain, a
// recycled buffer otherwise. Half-close is passed on; a failure on one side ends both. A pipe or a
// buffer is held only while bytes are under way, so an idle relay costs no memory of its own.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

#include "agent/net/stream.h"

namespace sallyport::net {

struct RelayCounts {
  uint64_t from_client = 0;  // bytes read from the client and delivered upstream
  uint64_t to_client = 0;
};

struct RelayEnd {
  std::optional<Error> error;  // unset: both sides ended cleanly. Side says who failed.
};

// The caller closes both afterwards: the end of the direction that ends last goes on with that.
// `idle`: with no byte in either direction for that long the relay ends with Fault::timed_out.
Task<RelayEnd> relay(Stream& client, Stream& upstream, RelayCounts& counts,
                     std::chrono::milliseconds idle);

}  // namespace sallyport::net
