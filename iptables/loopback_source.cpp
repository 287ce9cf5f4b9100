#include "iptables/loopback_source.h"

#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "iptables/hints.h"
#include "iptables/netlink.h"

namespace sallyport::rules {
namespace {

constexpr in6_addr source = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6}}};

int request_address(uint16_t type, uint16_t flags) {
  return change_address(type, flags, loopback_index, IpAddress::v6(source), 128);
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
