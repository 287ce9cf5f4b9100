#include "iptables/loopback_source.h"

#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "iptables/hints.h"

namespace sallyport::rules {
namespace {

constexpr unsigned loopback_index = 1;  // The kernel's own constant, LOOPBACK_IFINDEX.
constexpr in6_addr source = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6}}};

// Sends one address request and waits for the kernel's answer. Returns errno's value, 0 for done.
int request_address(uint16_t type, uint16_t flags) {
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(mnl_socket_open(NETLINK_ROUTE),
                                                                 mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return errno;
  alignas(nlmsghdr) char room[512];
  nlmsghdr* const header = mnl_nlmsg_put_header(room);
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  auto* const address =
      static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifaddrmsg)));
  address->ifa_family = AF_INET6;
  address->ifa_prefixlen = 128;
  // Without the (empty) duplicate detection on lo, which would leave it unusable for a moment.
  address->ifa_flags = IFA_F_PERMANENT | IFA_F_NODAD;
  address->ifa_scope = RT_SCOPE_UNIVERSE;
  address->ifa_index = loopback_index;
  mnl_attr_put(header, IFA_LOCAL, sizeof source, &source);
  mnl_attr_put(header, IFA_ADDRESS, sizeof source, &source);
  if (mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0) return errno;
  alignas(nlmsghdr) char answer[4096];
  const ssize_t got = mnl_socket_recvfrom(socket.get(), answer, sizeof answer);
  if (got < 0) return errno;
  // MNL_CB_STOP (0) is the acknowledgement.
  return mnl_cb_run(answer, static_cast<std::size_t>(got), 0, mnl_socket_get_portid(socket.get()),
                    nullptr, nullptr) < 0
             ? errno
             : 0;
}

Error address_error(const char* what, int number) {
  Error error{.fault = Fault::internal,
              .context = std::string(what) + " on lo: " + std::strerror(number)};
  if (number == EPERM) error.context += capability_hint;
  return error;
}

}  // namespace

bool has_loopback_source() {
  ifaddrs* head = nullptr;
  if (getifaddrs(&head) != 0) return false;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(head, &freeifaddrs);
  for (const ifaddrs* entry = head; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET6) continue;
    const auto& address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
    if (std::memcmp(&address, &source, sizeof source) == 0 &&
        std::strcmp(entry->ifa_name, "lo") == 0)
      return true;
  }
  return false;
}

Result<bool> add_loopback_source() {
  if (has_loopback_source()) return false;
  const int failure = request_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  if (failure == EEXIST) return false;
  if (failure != 0) return address_error("adding the address ::6", failure);
  return true;
}

Result<bool> remove_loopback_source() {
  if (!has_loopback_source()) return false;
  const int failure = request_address(RTM_DELADDR, 0);
  if (failure != 0) return address_error("removing the address ::6", failure);
  return true;
}

}  // namespace sallyport::rules
