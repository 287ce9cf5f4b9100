// The kernel's table of flows (conntrack), by netlink: messages and what they say of a flow.
//
// Threading: one thread's. A socket acts on the network namespace that its thread was in when it
// was opened, and needs CAP_NET_ADMIN over it.
#pragma once
#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "agent/core/address.h"
#include "agent/core/error.h"

struct mnl_socket;

namespace sallyport::rules {

struct Flow {
  uint8_t protocol = 0;               // IPPROTO_*
  SocketAddress source, destination;  // of its first packet, as it was sent
  SocketAddress answered_by;          // where the kernel leads it: an answer's source
  bool answered = false;
};

// One request to be filled; libmnl puts attributes behind `header`, which points into `room`.
struct ConntrackRequest {
  // `type`: IPCTNL_MSG_CT_*; `flags` beside NLM_F_REQUEST and NLM_F_ACK; AF_UNSPEC is any family.
  ConntrackRequest(uint16_t type, uint16_t flags, uint8_t family);
  ConntrackRequest(const ConntrackRequest&) = delete;
  ConntrackRequest& operator=(const ConntrackRequest&) = delete;
  nlmsghdr* header;
  alignas(nlmsghdr) char room[512];
};

// `kind`: CTA_TUPLE_ORIG or CTA_TUPLE_REPLY.
void put_tuple(ConntrackRequest& into, uint16_t kind, uint8_t protocol, const SocketAddress& from,
               const SocketAddress& to);

// Asks for the entry of a list by all that tells it apart: the same flow may stand in two zones.
void put_identity(ConntrackRequest& into, const nlmsghdr& entry);

// What one message says, be it an event or an entry of a list; nullopt for what is not of TCP or
// UDP.
std::optional<Flow> flow_of(const nlmsghdr& message);

class ConntrackSocket {
public:
  // `groups`: NF_NETLINK_CONNTRACK_* whose events it gets. Errors, Fault::internal: there is no
  // such netlink; Fault::denied: no capability.
  static Result<ConntrackSocket> open(unsigned groups = 0);

  // Sends, and waits for the kernel's answer. Returns errno's value, 0 for done.
  int change(const ConntrackRequest& request);
  // Asks for a list (NLM_F_DUMP among the flags). Returns as change() does.
  int list(const ConntrackRequest& request, const std::function<void(const nlmsghdr&)>& each);
  // Events that are there now. Returns errno's value; EAGAIN: all have been given.
  int take_events(const std::function<void(const nlmsghdr&)>& each);
  int descriptor() const;  // to wait at for events

private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  ConntrackSocket() = default;
  std::unique_ptr<mnl_socket, Close> socket_;
};

}  // namespace sallyport::rules
