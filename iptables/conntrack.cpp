#include "iptables/conntrack.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "iptables/hints.h"

namespace sallyport::rules {
namespace {

using EachMessage = std::function<void(const nlmsghdr&)>;

void put_address(nlmsghdr* into, uint16_t v4, uint16_t v6, const SocketAddress& address) {
  const auto* const bytes = address.ip().bytes();
  if (address.ip().is_v4())
    mnl_attr_put(into, v4, 4, bytes);
  else
    mnl_attr_put(into, v6, 16, bytes);
}

// The attributes of one level, by their type.
struct Level {
  std::array<const nlattr*, CTA_MAX + 1> of{};
};

int keep_attribute(const nlattr* attribute, void* to) {
  const auto type = mnl_attr_get_type(attribute);
  auto& level = *static_cast<Level*>(to);
  if (type < level.of.size()) level.of[type] = attribute;
  return MNL_CB_OK;
}

Level inside(const nlattr* nest) {
  Level out;
  if (nest != nullptr) mnl_attr_parse_nested(nest, keep_attribute, &out);
  return out;
}

std::optional<IpAddress> address_in(const Level& level, int v4, int v6) {
  if (const auto* const four = level.of[v4]; four != nullptr && mnl_attr_get_payload_len(four) == 4)
    return IpAddress::v4(ntohl(mnl_attr_get_u32(four)));
  const auto* const six = level.of[v6];
  if (six == nullptr || mnl_attr_get_payload_len(six) != 16) return {};
  in6_addr bytes;
  std::memcpy(&bytes, mnl_attr_get_payload(six), sizeof bytes);
  return IpAddress::v6(bytes);
}

struct Tuple {
  uint8_t protocol;
  SocketAddress source, destination;
};

std::optional<Tuple> tuple_in(const nlattr* nest) {
  const Level tuple = inside(nest);
  const Level addresses = inside(tuple.of[CTA_TUPLE_IP]), ports = inside(tuple.of[CTA_TUPLE_PROTO]);
  const auto source = address_in(addresses, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  const auto destination = address_in(addresses, CTA_IP_V4_DST, CTA_IP_V6_DST);
  const auto *const from = ports.of[CTA_PROTO_SRC_PORT], *const to = ports.of[CTA_PROTO_DST_PORT];
  const auto* const protocol = ports.of[CTA_PROTO_NUM];
  if (!source || !destination || from == nullptr || to == nullptr || protocol == nullptr) return {};
  return Tuple{mnl_attr_get_u8(protocol),
               {*source, ntohs(mnl_attr_get_u16(from))},
               {*destination, ntohs(mnl_attr_get_u16(to))}};
}

Level top_level(const nlmsghdr& message) {
  Level out;
  mnl_attr_parse(&message, sizeof(nfgenmsg), keep_attribute, &out);
  return out;
}

int give_message(const nlmsghdr* message, void* each) {
  (*static_cast<const EachMessage*>(each))(*message);
  return MNL_CB_OK;
}

}  // namespace

ConntrackRequest::ConntrackRequest(uint16_t type, uint16_t flags, uint8_t family)
    : header(mnl_nlmsg_put_header(room)) {
  header->nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  auto* const netfilter =
      static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  *netfilter = {family, NFNETLINK_V0, 0};
}

void put_tuple(ConntrackRequest& into, uint16_t kind, uint8_t protocol, const SocketAddress& from,
               const SocketAddress& to) {
  auto* const tuple = mnl_attr_nest_start(into.header, kind);
  auto* const addresses = mnl_attr_nest_start(into.header, CTA_TUPLE_IP);
  put_address(into.header, CTA_IP_V4_SRC, CTA_IP_V6_SRC, from);
  put_address(into.header, CTA_IP_V4_DST, CTA_IP_V6_DST, to);
  mnl_attr_nest_end(into.header, addresses);
  auto* const ports = mnl_attr_nest_start(into.header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(into.header, CTA_PROTO_NUM, protocol);
  mnl_attr_put_u16(into.header, CTA_PROTO_SRC_PORT, htons(from.port()));
  mnl_attr_put_u16(into.header, CTA_PROTO_DST_PORT, htons(to.port()));
  mnl_attr_nest_end(into.header, ports);
  mnl_attr_nest_end(into.header, tuple);
}

void put_identity(ConntrackRequest& into, const nlmsghdr& entry) {
  const Level all = top_level(entry);
  for (const auto type : {CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID}) {
    if (const auto* const attribute = all.of[type]; attribute != nullptr)
      mnl_attr_put(into.header, attribute->nla_type, mnl_attr_get_payload_len(attribute),
                   mnl_attr_get_payload(attribute));
  }
}

std::optional<Flow> flow_of(const nlmsghdr& message) {
  if (message.nlmsg_type >> 8 != NFNL_SUBSYS_CTNETLINK) return {};
  const Level all = top_level(message);
  const auto original = tuple_in(all.of[CTA_TUPLE_ORIG]), reply = tuple_in(all.of[CTA_TUPLE_REPLY]);
  if (!original || !reply) return {};
  const auto* const status = all.of[CTA_STATUS];
  return Flow{original->protocol, original->source, original->destination, reply->source,
              status != nullptr && (ntohl(mnl_attr_get_u32(status)) & IPS_SEEN_REPLY) != 0};
}

void ConntrackSocket::Close::operator()(mnl_socket* socket) const { mnl_socket_close(socket); }

Result<ConntrackSocket> ConntrackSocket::open(unsigned groups) {
  ConntrackSocket out;
  out.socket_.reset(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (out.socket_ && mnl_socket_bind(out.socket_.get(), groups, MNL_SOCKET_AUTOPID) == 0)
    return out;
  const bool denied = errno == EPERM;
  return Error{.fault = denied ? Fault::denied : Fault::internal,
               .context = std::string("conntrack: ") + std::strerror(errno) +
                          std::string(denied ? capability_hint : "")};
}

int ConntrackSocket::change(const ConntrackRequest& request) {
  return list(request, [](const nlmsghdr&) {});
}

int ConntrackSocket::list(const ConntrackRequest& request, const EachMessage& each) {
  if (mnl_socket_sendto(socket_.get(), request.header, request.header->nlmsg_len) < 0) return errno;
  alignas(nlmsghdr) std::array<char, 32 * 1024> answer;  // what the kernel's lists come in at most
  for (;;) {
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), answer.data(), answer.size());
    if (got < 0) return errno;
    const int went = mnl_cb_run(answer.data(), static_cast<std::size_t>(got), 0,
                                mnl_socket_get_portid(socket_.get()), give_message,
                                const_cast<EachMessage*>(&each));
    if (went < 0) return errno;
    if (went == MNL_CB_STOP) return 0;  // the acknowledgement, or the end of the list
  }
}

int ConntrackSocket::take_events(const EachMessage& each) {
  alignas(nlmsghdr) std::array<char, 32 * 1024> events;
  for (;;) {
    const ssize_t got = recv(descriptor(), events.data(), events.size(), MSG_DONTWAIT);
    if (got < 0 && errno == ENOBUFS) continue;  // some were lost: what matters is sent again
    if (got < 0) return errno;
    if (mnl_cb_run(events.data(), static_cast<std::size_t>(got), 0, 0, give_message,
                   const_cast<EachMessage*>(&each)) < 0)
      return errno;
  }
}

int ConntrackSocket::descriptor() const { return mnl_socket_get_fd(socket_.get()); }

}  // namespace sallyport::rules
