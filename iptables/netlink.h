// Requests to the kernel's routing tables (rtnetlink) of the calling thread's network namespace.
#pragma once
#include <linux/netlink.h>

#include <cstdint>
#include <functional>

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

}  // namespace sallyport::rules
