#include "iptables/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

namespace sallyport::rules {
namespace {

using Each = std::function<void(const nlmsghdr&)>;

int give_to(const nlmsghdr* message, void* each) {
  (*static_cast<const Each*>(each))(*message);
  return MNL_CB_OK;
}

int talk(RouteRequest& request, const Each& each) {
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(mnl_socket_open(NETLINK_ROUTE),
                                                                 mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return errno;
  if (mnl_socket_sendto(socket.get(), request.header, request.header->nlmsg_len) < 0) return errno;
  alignas(nlmsghdr) char answer[32 * 1024];  // what the kernel's lists come in at most
  for (;;) {
    const ssize_t got = mnl_socket_recvfrom(socket.get(), answer, sizeof answer);
    if (got < 0) return errno;
    const int went =
        mnl_cb_run(answer, static_cast<std::size_t>(got), 0, mnl_socket_get_portid(socket.get()),
                   give_to, const_cast<Each*>(&each));
    if (went < 0) return errno;
    if (went == MNL_CB_STOP) return 0;  // the acknowledgement, or the end of the list
  }
}

}  // namespace

RouteRequest::RouteRequest(uint16_t type, uint16_t flags) : header(mnl_nlmsg_put_header(room)) {
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
}

int change_routing(RouteRequest& request) {
  request.header->nlmsg_flags |= NLM_F_ACK;
  return talk(request, [](const nlmsghdr&) {});
}

int list_routing(RouteRequest& request, const Each& each) {
  request.header->nlmsg_flags |= NLM_F_DUMP;
  return talk(request, each);
}

int change_address(uint16_t type, uint16_t flags, unsigned interface, const IpAddress& address,
                   uint8_t prefix) {
  RouteRequest request(type, flags);
  auto& header =
      *static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(request.header, sizeof(ifaddrmsg)));
  header.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = prefix;
  header.ifa_flags = IFA_F_PERMANENT | IFA_F_NODAD;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = interface;
  const std::size_t size = address.is_v4() ? 4 : 16;
  mnl_attr_put(request.header, IFA_LOCAL, size, address.bytes());
  mnl_attr_put(request.header, IFA_ADDRESS, size, address.bytes());
  return change_routing(request);
}

}  // namespace sallyport::rules
