// Flows that were refused, as conntrack keeps them (ctnetlink): with the mark by which the rules
// refuse the next datagrams, too, without asking us again.
//
// A datagram that a rule refuses leaves nothing in conntrack by itself: the entry is made here.
//
// Threading: one thread's. Needs CAP_NET_ADMIN over the network namespace.
#pragma once
#include <utility>

#include "iptables/conntrack.h"

namespace sallyport::rules {

class RefusedFlows {
public:
  // Of the calling thread's network namespace. Errors, Fault::internal: there is no netlink.
  static Result<RefusedFlows> open();

  // For limits::udp_refused_time since the last datagram. What conntrack does not take is judged
  // again with its next datagram. Returns errno's value, 0 for done.
  int add(const SocketAddress& source, const SocketAddress& destination);
  // All of them: each is judged anew. Returns errno's value, 0 for done.
  int forget();

private:
  explicit RefusedFlows(ConntrackSocket socket) : socket_(std::move(socket)) {}
  ConntrackSocket socket_;
};

}  // namespace sallyport::rules
