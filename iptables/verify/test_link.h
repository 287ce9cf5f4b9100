// A cable with both of its ends in this network namespace, for the time of the probes: what is sent
// into the far end arrives at the near one as a peer's packet would.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "iptables/descriptor.h"

namespace sallyport::rules {

using HardwareAddress = std::array<uint8_t, 6>;

class TestLink {
public:
  // Removes one that an earlier run left. The near end has addresses of networks for documentation
  // (RFC 5737, RFC 3849), IPv6's where `v6`. Errors: what the kernel refused.
  static Result<TestLink> make(bool v6);
  TestLink(TestLink&& other) noexcept = default;
  TestLink& operator=(TestLink&&) = delete;
  ~TestLink();

  // Whether it is the name of one of its ends.
  static bool is_end(std::string_view interface);
  static IpAddress peer(bool v4);  // whom the pod takes for its other end: no host has it
  const HardwareAddress& near() const { return near_; }
  const HardwareAddress& far() const { return far_; }
  // Sends a frame into the far end. Returns errno's value.
  int send(std::span<const uint8_t> frame) const;

private:
  TestLink() = default;
  Result<void> set_up(bool v6);
  HardwareAddress near_{}, far_{};
  Descriptor far_socket_;
};

}  // namespace sallyport::rules
