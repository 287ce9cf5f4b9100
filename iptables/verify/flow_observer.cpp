#include "iptables/verify/flow_observer.h"

#include <linux/netfilter/nfnetlink_compat.h>
#include <poll.h>

#include <fstream>

namespace sallyport::rules {

Result<FlowObserver> FlowObserver::open() {
  char events = '1';
  std::ifstream("/proc/sys/net/netfilter/nf_conntrack_events") >> events;
  if (events == '0') return Error{.context = "net.netfilter.nf_conntrack_events is 0"};
  auto socket = ConntrackSocket::open(NF_NETLINK_CONNTRACK_NEW | NF_NETLINK_CONNTRACK_UPDATE);
  if (!socket) return socket.error();
  return FlowObserver(std::move(*socket));
}

std::optional<Flow> FlowObserver::wait(uint8_t protocol, uint16_t source_port,
                                       const SocketAddress& destination, bool answered,
                                       std::chrono::milliseconds time) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + time;
  std::optional<Flow> out;
  for (;;) {
    (void)socket_.take_events([&](const nlmsghdr& message) {
      const auto flow = flow_of(message);
      if (flow && flow->protocol == protocol && flow->source.port() == source_port &&
          flow->destination == destination && (flow->answered || !answered))
        out = flow;
    });
    if (out) return out;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return {};
    pollfd polled{socket_.descriptor(), POLLIN, 0};
    (void)poll(&polled, 1, static_cast<int>(left.count()));
  }
}

}  // namespace sallyport::rules
