#include "agent/net/socket_owner.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sallyport::net {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 question;
};

Request question_about(uint8_t protocol, const SocketAddress& local, const SocketAddress& remote) {
  Request request;
  std::memset(&request, 0, sizeof request);
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  auto& question = request.question;
  const std::size_t size = local.ip().is_v4() ? 4 : 16;
  question.sdiag_family = local.ip().is_v4() ? AF_INET : AF_INET6;
  question.sdiag_protocol = protocol;
  question.idiag_states = ~0u;
  question.id.idiag_sport = htons(local.port());
  question.id.idiag_dport = htons(remote.port());
  std::memcpy(question.id.idiag_src, local.ip().bytes(), size);
  std::memcpy(question.id.idiag_dst, remote.ip().bytes(), size);
  question.id.idiag_cookie[0] = question.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

enum class Known : uint8_t { connection_of_process, connection_of_nobody, no_connection, unknown };

struct Answer {
  Known known = Known::unknown;
  SocketFacts facts{};
};

Answer ask_kernel(uint8_t protocol, const SocketAddress& local, const SocketAddress& remote) {
  const Descriptor diag{
      ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
  if (diag.fd < 0) return {};
  const Request request = question_about(protocol, local, remote);
  if (::send(diag.fd, &request, sizeof request, 0) != ssize_t(sizeof request)) return {};
  // The kernel answers within send(), so there is nothing to wait for.
  alignas(nlmsghdr) char answer[1024];
  const ssize_t size = ::recv(diag.fd, answer, sizeof answer, 0);
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
  if (size < ssize_t(NLMSG_LENGTH(sizeof(nlmsgerr))) || header->nlmsg_len > std::size_t(size))
    return {};
  if (header->nlmsg_type == NLMSG_ERROR) {
    const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
    return {error->error == -ENOENT ? Known::no_connection : Known::unknown};
  }
  if (header->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return {};
  const auto* found = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
  // Where none is connected so, the kernel names who listens there.
  if (found->id.idiag_dport != request.question.id.idiag_dport) return {Known::no_connection};
  return {found->idiag_inode ? Known::connection_of_process : Known::connection_of_nobody,
          {found->idiag_inode, found->idiag_uid}};
}

}  // namespace

std::optional<SocketFacts> facts_of(uint8_t protocol, const SocketAddress& local,
                                    const SocketAddress& remote) {
  const auto answer = ask_kernel(protocol, local, remote);
  if (answer.known != Known::connection_of_process) return {};
  return answer.facts;
}

SocketOwner owner_of(const SocketAddress& local, const SocketAddress& remote) {
  switch (ask_kernel(IPPROTO_TCP, local, remote).known) {
    case Known::connection_of_process:
      return SocketOwner::process;
    case Known::unknown:
      return SocketOwner::unknown;
    default:
      return SocketOwner::nobody;
  }
}

bool has_connection(const SocketAddress& local, const SocketAddress& remote) {
  const Known known = ask_kernel(IPPROTO_TCP, local, remote).known;
  return known == Known::connection_of_process || known == Known::connection_of_nobody;
}

}  // namespace sallyport::net
