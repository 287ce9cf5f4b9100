#include "iptables/verify/test_link.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "iptables/hints.h"
#include "iptables/netlink.h"

namespace sallyport::rules {
namespace {

constexpr const char *near_name = "sallyport-near", *far_name = "sallyport-far";
constexpr in6_addr near_v6 = {{{0x20, 1, 0xd, 0xb8, 0x5a, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}};
constexpr in6_addr peer_v6 = {{{0x20, 1, 0xd, 0xb8, 0x5a, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}}};
constexpr uint32_t near_v4 = 0xc00002f9, peer_v4 = 0xc00002fa;  // 192.0.2.249/30

Error link_error(const char* what, int number) {
  Error error{.context = std::string(what) + ": " + std::strerror(number)};
  if (number == EPERM) error.context += capability_hint;
  if (number == EOPNOTSUPP) error.context += ": the kernel lacks the module veth";
  return error;
}

ifinfomsg& put_link(RouteRequest& request, const char* name) {
  auto& header =
      *static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request.header, sizeof(ifinfomsg)));
  header.ifi_family = AF_UNSPEC;
  mnl_attr_put_strz(request.header, IFLA_IFNAME, name);
  return header;
}

int add_pair() {
  RouteRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  put_link(request, near_name);
  auto* const kind = mnl_attr_nest_start(request.header, IFLA_LINKINFO);
  mnl_attr_put_strz(request.header, IFLA_INFO_KIND, "veth");
  auto* const data = mnl_attr_nest_start(request.header, IFLA_INFO_DATA);
  auto* const peer = mnl_attr_nest_start(request.header, VETH_INFO_PEER);
  put_link(request, far_name);
  mnl_attr_nest_end(request.header, peer);
  mnl_attr_nest_end(request.header, data);
  mnl_attr_nest_end(request.header, kind);
  return change_routing(request);
}

int remove_pair() {
  RouteRequest request(RTM_DELLINK, 0);
  put_link(request, near_name);
  return change_routing(request);
}

int switch_on(const char* name) {
  RouteRequest request(RTM_NEWLINK, 0);
  auto& header = put_link(request, name);
  header.ifi_flags = header.ifi_change = IFF_UP;
  return change_routing(request);
}

// All zeros where it can't be told: then nothing that is sent arrives.
HardwareAddress hardware_address(int socket, const char* name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  HardwareAddress out{};
  if (ioctl(socket, SIOCGIFHWADDR, &request) == 0)
    std::memcpy(out.data(), request.ifr_hwaddr.sa_data, out.size());
  return out;
}

// The kernel makes an IPv6 address's local route a moment after the address: it is there when the
// pod reaches itself by it.
void wait_for_local_route() {
  const Descriptor fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  socklen_t size = SocketAddress(IpAddress::v6(near_v6), 0).fill(storage);
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  if (bind(fd.get(), address, size) != 0 || getsockname(fd.get(), address, &size) != 0) return;
  for (int tries = 0; tries < 100; tries++) {
    (void)sendto(fd.get(), "", 0, 0, address, size);
    pollfd polled{fd.get(), POLLIN, 0};
    if (poll(&polled, 1, 10) == 1) return;
  }
}

}  // namespace

IpAddress TestLink::peer(bool v4) { return v4 ? IpAddress::v4(peer_v4) : IpAddress::v6(peer_v6); }

bool TestLink::is_end(std::string_view interface) {
  return interface == near_name || interface == far_name;
}

Result<void> TestLink::set_up(bool v6) {
  for (const char* name : {near_name, far_name}) {
    if (const int number = switch_on(name); number != 0) return link_error(name, number);
  }
  const unsigned near = if_nametoindex(near_name);
  constexpr uint16_t create = NLM_F_CREATE | NLM_F_EXCL;
  int number = change_address(RTM_NEWADDR, create, near, IpAddress::v4(near_v4), 30);
  if (number == 0 && v6)
    number = change_address(RTM_NEWADDR, create, near, IpAddress::v6(near_v6), 126);
  if (number != 0) return link_error("its addresses", number);
  if (v6) wait_for_local_route();
  far_socket_.set(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // 0: to send only
  if (far_socket_.get() < 0) return link_error("a packet socket (NET_RAW)", errno);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(if_nametoindex(far_name));
  if (bind(far_socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
    return link_error("a packet socket", errno);
  near_ = hardware_address(far_socket_.get(), near_name);
  far_ = hardware_address(far_socket_.get(), far_name);
  return {};
}

Result<TestLink> TestLink::make(bool v6) {
  (void)remove_pair();  // none, as a rule
  if (const int number = add_pair(); number != 0) return link_error("a pair of interfaces", number);
  TestLink out;
  if (const auto up = out.set_up(v6); !up) {
    (void)remove_pair();
    return up.error();
  }
  return out;
}

// Of a moved one, which has no socket, the pair is another's.
TestLink::~TestLink() {
  if (far_socket_.get() >= 0) (void)remove_pair();
}

int TestLink::send(std::span<const uint8_t> frame) const {
  return ::send(far_socket_.get(), frame.data(), frame.size(), 0) < 0 ? errno : 0;
}

}  // namespace sallyport::rules
