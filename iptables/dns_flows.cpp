#include "iptables/dns_flows.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "iptables/conntrack.h"

namespace sallyport::rules {
namespace {

bool goes_the_old_way(const Flow& flow, bool captured) {
  if (flow.protocol != IPPROTO_UDP) return false;
  const bool led_to_proxy = flow.answered_by.port() == 15053;
  return captured ? flow.destination.port() == 53 && !led_to_proxy : led_to_proxy;
}

}  // namespace

std::string forget_dns_flows(bool captured) {
  const auto told = [](const std::string& what) {
    return "DNS flows under way keep their old way: " + what + "\n";
  };
  auto conntrack = ConntrackSocket::open();
  if (!conntrack) return told(conntrack.error().context);
  std::vector<std::vector<char>> entries;
  const ConntrackRequest all(IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
  const int failed = conntrack->list(all, [&](const nlmsghdr& message) {
    const auto flow = flow_of(message);
    const auto* const bytes = reinterpret_cast<const char*>(&message);
    if (flow && goes_the_old_way(*flow, captured))
      entries.emplace_back(bytes, bytes + message.nlmsg_len);
  });
  // A kernel that has no table of flows yet has none to forget.
  if (failed == ENOENT || failed == EOPNOTSUPP) return "";
  if (failed != 0) return told(std::string("conntrack: ") + std::strerror(failed));
  for (const auto& bytes : entries) {
    const auto& entry = *reinterpret_cast<const nlmsghdr*>(bytes.data());
    const auto& netfilter = *static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(&entry));
    ConntrackRequest deletion(IPCTNL_MSG_CT_DELETE, 0, netfilter.nfgen_family);
    put_identity(deletion, entry);
    const int number = conntrack->change(deletion);
    if (number != 0 && number != ENOENT)
      return told(std::string("conntrack: ") + std::strerror(number));
  }
  if (entries.empty()) return "";
  if (entries.size() == 1) return "DNS: 1 flow under way takes its new way\n";
  return "DNS: " + std::to_string(entries.size()) + " flows under way take their new way\n";
}

}  // namespace sallyport::rules
