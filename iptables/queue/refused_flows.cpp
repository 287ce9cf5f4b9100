#include "iptables/queue/refused_flows.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/core/limits.h"
#include "iptables/udp_marks.h"

namespace sallyport::rules {

Result<RefusedFlows> RefusedFlows::open() {
  auto socket = ConntrackSocket::open();
  if (!socket) return socket.error();
  return RefusedFlows(std::move(*socket));
}

int RefusedFlows::add(const SocketAddress& source, const SocketAddress& destination) {
  ConntrackRequest request(IPCTNL_MSG_CT_NEW, NLM_F_CREATE,
                           static_cast<uint8_t>(source.ip().is_v4() ? AF_INET : AF_INET6));
  put_tuple(request, CTA_TUPLE_ORIG, IPPROTO_UDP, source, destination);
  put_tuple(request, CTA_TUPLE_REPLY, IPPROTO_UDP, destination, source);
  constexpr auto seconds = std::chrono::seconds(limits::udp_refused_time).count();
  mnl_attr_put_u32(request.header, CTA_TIMEOUT, htonl(static_cast<uint32_t>(seconds)));
  mnl_attr_put_u32(request.header, CTA_MARK, htonl(udp_refused));
  return socket_.change(request);
}

int RefusedFlows::forget() {
  ConntrackRequest request(IPCTNL_MSG_CT_DELETE, 0, AF_UNSPEC);
  mnl_attr_put_u32(request.header, CTA_MARK, htonl(udp_refused));
  mnl_attr_put_u32(request.header, CTA_MARK_MASK, htonl(udp_mark_mask));
  return socket_.change(request);
}

}  // namespace sallyport::rules
