#include "iptables/queue/netfilter_queue.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "agent/core/limits.h"
#include "iptables/backend.h"

namespace sallyport::rules {
namespace {

constexpr std::size_t packet_most = 0xffff;
constexpr std::size_t around_packet = 4096;  // headers and attributes of a message

Error no_queue(const std::string& what, int number) {
  std::string hint;
  if (number == EPERM)
    hint = require_net_admin() ? "; another process reads it"
                               : "; the sidecar needs the capability NET_ADMIN";
  if (number == EOPNOTSUPP || number == EPROTONOSUPPORT || number == EINVAL)
    hint = "; the kernel lacks nfnetlink_queue";
  return {.fault = Fault::internal,
          .side = Side::local,
          .context = "NFQUEUE: " + what + ": " + std::strerror(number) + hint};
}

using Room = std::array<char, 512>;

nlmsghdr* put_header(Room& room, uint16_t type, uint16_t number) {
  return nfq_nlmsg_put(room.data(), type, number);
}

// Sends a change and waits for the kernel's answer. Returns errno's value, 0 for done.
int change(mnl_socket& socket, nlmsghdr& message) {
  message.nlmsg_flags |= NLM_F_ACK;
  if (mnl_socket_sendto(&socket, &message, message.nlmsg_len) < 0) return errno;
  alignas(nlmsghdr) std::array<char, 4096> answer;
  const auto got = mnl_socket_recvfrom(&socket, answer.data(), answer.size());
  if (got < 0) return errno;
  const int went = mnl_cb_run(answer.data(), static_cast<std::size_t>(got), 0,
                              mnl_socket_get_portid(&socket), nullptr, nullptr);
  return went < 0 ? errno : 0;
}

int bind_queue(mnl_socket& socket, const NetfilterQueue::Options& options) {
  alignas(nlmsghdr) Room room;
  auto* bind = put_header(room, NFQNL_MSG_CONFIG, options.number);
  nfq_nlmsg_cfg_put_cmd(bind, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
  if (const int error = change(socket, *bind)) return error;
  auto* how = put_header(room, NFQNL_MSG_CONFIG, options.number);
  nfq_nlmsg_cfg_put_qmaxlen(how, limits::udp_queue_datagrams);
  // No segmentation is left to us (NFQA_CFG_F_GSO): what is queued are datagrams as they go out.
  mnl_attr_put_u32(how, NFQA_CFG_FLAGS, htonl(options.fail_open ? NFQA_CFG_F_FAIL_OPEN : 0));
  mnl_attr_put_u32(how, NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
  if (const int error = change(socket, *how)) return error;
  // Packets come from here on: an answer would stand among them.
  auto* copy = put_header(room, NFQNL_MSG_CONFIG, options.number);
  nfq_nlmsg_cfg_put_params(copy, NFQNL_COPY_PACKET, packet_most);
  return mnl_socket_sendto(&socket, copy, copy->nlmsg_len) < 0 ? errno : 0;
}

struct Reading {
  const std::function<void(Queued, std::span<const char>)>& each;
};

int give_packet(const nlmsghdr* message, void* reading) {
  std::array<const nlattr*, NFQA_MAX + 1> attributes{};
  if (nfq_nlmsg_parse(message, const_cast<nlattr**>(attributes.data())) < 0 ||
      !attributes[NFQA_PACKET_HDR])
    return MNL_CB_OK;
  const auto* const header =
      static_cast<const nfqnl_msg_packet_hdr*>(mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]));
  std::span<const char> packet;
  if (const auto* const bytes = attributes[NFQA_PAYLOAD])
    packet = {static_cast<const char*>(mnl_attr_get_payload(bytes)),
              mnl_attr_get_payload_len(bytes)};
  const auto* const mark = attributes[NFQA_MARK];  // none: 0
  const Queued queued{ntohl(header->packet_id), mark ? ntohl(mnl_attr_get_u32(mark)) : 0};
  static_cast<Reading*>(reading)->each(queued, packet);
  return MNL_CB_OK;
}

}  // namespace

void NetfilterQueue::Close::operator()(mnl_socket* socket) const { mnl_socket_close(socket); }

Result<NetfilterQueue> NetfilterQueue::open(const Options& options) {
  NetfilterQueue queue;
  queue.number_ = options.number;
  queue.socket_.reset(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (!queue.socket_) return no_queue("open", errno);
  auto& socket = *queue.socket_;
  if (mnl_socket_bind(&socket, 0, MNL_SOCKET_AUTOPID) < 0) return no_queue("bind", errno);
  if (const int error = bind_queue(socket, options))
    return no_queue("queue " + std::to_string(options.number), error);
  const int fd = mnl_socket_get_fd(&socket), bytes = limits::udp_queue_bytes, on = 1;
  // Beyond the system's usual limit, which CAP_NET_ADMIN allows; without it the buffer is smaller.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  // What does not fit is dropped, and counted by the kernel: no error that ends the reading.
  setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
  queue.counts_ =
      Descriptor(::open("/proc/thread-self/net/netfilter/nfnetlink_queue", O_RDONLY | O_CLOEXEC));
  queue.room_.resize(packet_most + around_packet);
  return queue;
}

int NetfilterQueue::fd() const { return mnl_socket_get_fd(socket_.get()); }

bool NetfilterQueue::read(const std::function<void(Queued, std::span<const char>)>& each) {
  const auto got = ::recv(fd(), room_.data(), room_.size(), MSG_DONTWAIT);
  if (got <= 0) return got < 0 && errno == EINTR;
  Reading reading{each};
  (void)mnl_cb_run(room_.data(), static_cast<std::size_t>(got), 0,
                   mnl_socket_get_portid(socket_.get()), give_packet, &reading);
  return true;
}

void NetfilterQueue::give(uint32_t id, Verdict verdict, uint32_t mark) {
  alignas(nlmsghdr) Room room;
  auto* const message = put_header(room, NFQNL_MSG_VERDICT, number_);
  constexpr int words[] = {NF_DROP, NF_ACCEPT, NF_REPEAT};
  nfq_nlmsg_verdict_put(message, static_cast<int>(id), words[static_cast<int>(verdict)]);
  nfq_nlmsg_verdict_put_mark(message, mark);
  // A verdict that does not reach the kernel leaves the packet where it is: it is dropped with the
  // queue, and its sender tries again.
  (void)mnl_socket_sendto(socket_.get(), message, message->nlmsg_len);
}

// A line a queue: number, reader, waiting, mode, range, queue_dropped, user_dropped, last id, 1.
uint64_t NetfilterQueue::dropped() const {
  std::array<char, 4096> text;
  const auto got = ::pread(counts_.get(), text.data(), text.size(), 0);
  std::istringstream lines(std::string(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    unsigned number = 0, skipped = 0;
    uint64_t full = 0, unread = 0;
    if (fields >> number >> skipped >> skipped >> skipped >> skipped >> full >> unread &&
        number == number_)
      return full + unread;
  }
  return 0;
}

}  // namespace sallyport::rules
