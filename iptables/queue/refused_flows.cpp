#include "iptables/queue/refused_flows.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/core/limits.h"
#include "iptables/udp_marks.h"

namespace sallyport::rules {
namespace {

struct Request {
  Request(uint16_t type, uint16_t flags, uint8_t family) : header(mnl_nlmsg_put_header(room)) {
    header->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
    header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    auto* const netfilter =
        static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    *netfilter = {family, NFNETLINK_V0, 0};
  }
  alignas(nlmsghdr) char room[512];
  nlmsghdr* header;
};

void put_address(nlmsghdr* into, uint16_t v4, uint16_t v6, const SocketAddress& address) {
  sockaddr_storage storage;
  address.fill(storage);
  if (address.ip().is_v4())
    mnl_attr_put(into, v4, 4, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr);
  else
    mnl_attr_put(into, v6, 16, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr);
}

void put_tuple(nlmsghdr* into, uint16_t kind, const SocketAddress& from, const SocketAddress& to) {
  auto* const tuple = mnl_attr_nest_start(into, kind);
  auto* const addresses = mnl_attr_nest_start(into, CTA_TUPLE_IP);
  put_address(into, CTA_IP_V4_SRC, CTA_IP_V6_SRC, from);
  put_address(into, CTA_IP_V4_DST, CTA_IP_V6_DST, to);
  mnl_attr_nest_end(into, addresses);
  auto* const ports = mnl_attr_nest_start(into, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(into, CTA_PROTO_NUM, IPPROTO_UDP);
  mnl_attr_put_u16(into, CTA_PROTO_SRC_PORT, htons(from.port()));
  mnl_attr_put_u16(into, CTA_PROTO_DST_PORT, htons(to.port()));
  mnl_attr_nest_end(into, ports);
  mnl_attr_nest_end(into, tuple);
}

int talk_to_conntrack(mnl_socket& socket, const Request& request) {
  if (mnl_socket_sendto(&socket, request.header, request.header->nlmsg_len) < 0) return errno;
  alignas(nlmsghdr) std::array<char, 4096> answer;
  const auto got = mnl_socket_recvfrom(&socket, answer.data(), answer.size());
  if (got < 0) return errno;
  const int went = mnl_cb_run(answer.data(), static_cast<std::size_t>(got), 0,
                              mnl_socket_get_portid(&socket), nullptr, nullptr);
  return went < 0 ? errno : 0;
}

}  // namespace

void RefusedFlows::Close::operator()(mnl_socket* socket) const { mnl_socket_close(socket); }

Result<RefusedFlows> RefusedFlows::open() {
  RefusedFlows flows;
  flows.socket_.reset(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (flows.socket_ && mnl_socket_bind(flows.socket_.get(), 0, MNL_SOCKET_AUTOPID) == 0)
    return flows;
  return Error{.fault = Fault::internal,
               .side = Side::local,
               .context = std::string("conntrack: ") + std::strerror(errno)};
}

int RefusedFlows::add(const SocketAddress& source, const SocketAddress& destination) {
  Request request(IPCTNL_MSG_CT_NEW, NLM_F_CREATE,
                  static_cast<uint8_t>(source.ip().is_v4() ? AF_INET : AF_INET6));
  put_tuple(request.header, CTA_TUPLE_ORIG, source, destination);
  put_tuple(request.header, CTA_TUPLE_REPLY, destination, source);
  constexpr auto seconds = std::chrono::seconds(limits::udp_refused_time).count();
  mnl_attr_put_u32(request.header, CTA_TIMEOUT, htonl(static_cast<uint32_t>(seconds)));
  mnl_attr_put_u32(request.header, CTA_MARK, htonl(udp_refused));
  return talk_to_conntrack(*socket_, request);
}

int RefusedFlows::forget() {
  Request request(IPCTNL_MSG_CT_DELETE, 0, AF_UNSPEC);
  mnl_attr_put_u32(request.header, CTA_MARK, htonl(udp_refused));
  mnl_attr_put_u32(request.header, CTA_MARK_MASK, htonl(udp_mark_mask));
  return talk_to_conntrack(*socket_, request);
}

}  // namespace sallyport::rules
