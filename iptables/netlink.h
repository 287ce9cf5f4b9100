// Requests to the kernel's routing tables (rtnetlink) of the calling thread's network namespace.
#pragma once
#include <linux/netlink.h>

#include <cstdint>
#include <functional>

#include "agent/core/address.h"

namespace sallyport::rules {

inline constexpr unsigned loopback_index = 1;  // the kernel's own constant, LOOPBACK_IFINDEX

// One request to be filled: headers and attributes by libmnl behind `header`.
struct RouteRequest {
  // `flags` beside NLM_F_REQUEST.
  RouteRequest(uint16_t type, uint16_t flags);
  nlmsghdr* header;
  alignas(nlmsghdr) char room[512];
};

// Sends a change and waits for the kernel's answer. Returns errno's value, 0 for done.
int change_routing(RouteRequest& request);

// Asks for a list (NLM_F_DUMP); `each` gets every message of it. Returns errno's value, 0 for done.
int list_routing(RouteRequest& request, const std::function<void(const nlmsghdr&)>& each);

// Adds (RTM_NEWADDR, NLM_F_CREATE and so on in `flags`) or removes an address of an interface,
// without duplicate detection, which would leave it unusable for a moment. Returns errno's value.
int change_address(uint16_t type, uint16_t flags, unsigned interface, const IpAddress& address,
                   uint8_t prefix);

}  // namespace sallyport::rules
