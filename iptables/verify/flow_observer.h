// Where the kernel leads a probe, by conntrack's events.
#pragma once
#include <chrono>

#include "iptables/conntrack.h"

namespace sallyport::rules {

class FlowObserver {
public:
  // Errors: this kernel or this namespace tells of no flows.
  static Result<FlowObserver> open();

  // Waits for what the kernel tells of the flow from `source_port` to `destination`; with
  // `answered` for its first answer. nullopt: nothing of the kind was told in time.
  std::optional<Flow> wait(uint8_t protocol, uint16_t source_port, const SocketAddress& destination,
                           bool answered, std::chrono::milliseconds time);

private:
  explicit FlowObserver(ConntrackSocket socket) : socket_(std::move(socket)) {}
  ConntrackSocket socket_;
};

}  // namespace sallyport::rules
