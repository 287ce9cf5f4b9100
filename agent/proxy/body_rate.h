// Whether a body of known length comes too slowly: who promises bytes and lets them trickle holds a
// connection of the upstream's, too. A chunked body may be a stream that says little for long: of
// it limits::body_stall alone is asked.
#pragma once
#include <chrono>
#include <cstddef>

#include "agent/core/limits.h"

namespace sallyport::proxy {

class BodyRate {
public:
  // After a wait of `time` for its sender, and not for the upstream, `bytes` came. False: too slow.
  bool keeps_up(std::chrono::nanoseconds time, std::size_t bytes) {
    waited_ += time;
    bytes_ += bytes;
    if (waited_ <= limits::body_grace) return true;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(waited_).count();
    return bytes_ >= limits::body_bytes_a_second * static_cast<std::size_t>(seconds);
  }

private:
  std::chrono::nanoseconds waited_{0};
  std::size_t bytes_ = 0;
};

}  // namespace sallyport::proxy
