#include "iptables/verify/dial.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/fsuid.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/core/limits.h"
#include "iptables/verify/tcp_frame.h"

namespace sallyport::rules {
namespace {

using Kind = Outcome::Kind;

// Asks for the addresses of "sallyport-verify.invalid" (RFC 6761: nobody has them).
constexpr std::string_view dns_question(
    "\x5a\x11\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x10sallyport-"
    "verify\x07invalid\x00\x00\x01\x00\x01",
    12 + 17 + 8 + 1 + 4);

Outcome not_sent(const std::string& what) {
  return {Kind::not_sent, 0, what + ": " + std::strerror(errno)};
}

// A socket belongs to whom it was made by (xt_owner looks at its file's credentials).
Descriptor open_for(const Probe& probe) {
  setfsgid(probe.gid);
  setfsuid(probe.uid);
  const bool became = static_cast<uint32_t>(setfsuid(~0U)) == probe.uid &&
                      static_cast<uint32_t>(setfsgid(~0U)) == probe.gid;
  Descriptor out;
  if (became)
    out.set(socket(
        probe.family == Family::v4 ? AF_INET : AF_INET6,
        (probe.protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
        0));
  const int number = became ? errno : EPERM;
  setfsuid(geteuid());
  setfsgid(getegid());
  errno = number;
  return out;
}

bool begin(const Probe& probe, int fd) {
  const auto& interface = probe.interface;
  if (!interface.empty() && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                                       static_cast<socklen_t>(interface.size())) != 0)
    return false;
  // It ends with a reset: what accepted it has nothing to wait for.
  const linger at_once{1, 0};
  if (probe.protocol == IPPROTO_TCP)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  sockaddr_storage storage;
  const socklen_t size = probe.destination.fill(storage);
  const bool going = connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0 ||
                     errno == EINPROGRESS || errno == ECONNREFUSED;
  if (!going || probe.protocol == IPPROTO_TCP) return going;
  return send(fd, dns_question.data(), dns_question.size(), 0) >= 0;
}

uint16_t local_port(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage)).port();
}

bool is_accepted(int fd) {
  pollfd polled{fd, POLLOUT, 0};
  constexpr auto wait = std::chrono::milliseconds(limits::verify_answer_time);
  if (poll(&polled, 1, static_cast<int>(wait.count())) != 1) return false;
  int number = 0;
  socklen_t size = sizeof number;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) == 0 && number == 0;
}

// A refused socket has its port no more, unless it was bound.
bool bind_somewhere(const Probe& probe, int fd) {
  sockaddr_storage storage{};
  storage.ss_family = probe.family == Family::v4 ? AF_INET : AF_INET6;
  return bind(fd, reinterpret_cast<const sockaddr*>(&storage),
              probe.family == Family::v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)) == 0;
}

}  // namespace

CapturePorts::CapturePorts(const Options& options, Family family) {
  const bool v4 = family == Family::v4;
  for (const uint16_t port : {options.outbound_port, options.inbound_port, uint16_t{15053}}) {
    Descriptor fd(socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int one = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!v4) setsockopt(fd.get(), SOL_IPV6, IPV6_V6ONLY, &one, sizeof one);
    // Where TPROXY leads to; harmless elsewhere.
    setsockopt(fd.get(), v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &one,
               sizeof one);
    sockaddr_storage storage;
    const auto any = IpAddress::parse(v4 ? "0.0.0.0" : "::");
    const socklen_t size = SocketAddress(*any, port).fill(storage);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) == 0 &&
        listen(fd.get(), SOMAXCONN) == 0)
      listeners_.push_back(std::move(fd));
  }
}

Outcome send_outbound(const Probe& probe, FlowObserver& observer) {
  const Descriptor fd = open_for(probe);
  if (fd.get() < 0) return not_sent("no socket of uid " + std::to_string(probe.uid));
  if (!bind_somewhere(probe, fd.get())) return not_sent("bind");
  const uint16_t source_port = local_port(fd.get());
  if (!begin(probe, fd.get())) return not_sent("connect");
  const auto flow = observer.wait(probe.protocol, source_port, probe.destination, false,
                                  limits::verify_event_time);
  if (!flow) return {Kind::lost, 0, ""};
  if (flow->answered_by == probe.destination) return {Kind::passed, 0, ""};
  const uint16_t led_to = flow->answered_by.port();
  const bool taken = probe.protocol != IPPROTO_TCP || is_accepted(fd.get());
  return {taken ? Kind::led : Kind::unanswered, led_to, ""};
}

Outcome send_inbound(const Probe& probe, const TestLink& link, uint16_t source_port,
                     const Options& options, FlowObserver& observer) {
  TcpSegment segment{{TestLink::peer(probe.family == Family::v4), source_port},
                     probe.destination,
                     TH_SYN,
                     0x5a115a11};
  errno = link.send(tcp_frame(link.far(), link.near(), segment));
  if (errno != 0) return not_sent("the test link");
  const auto told = [&](bool answered, std::chrono::milliseconds time) {
    return observer.wait(IPPROTO_TCP, source_port, probe.destination, answered, time);
  };
  const auto flow = told(false, limits::verify_event_time);
  const bool tproxy = options.interception == Interception::tproxy;
  const bool led = flow && (tproxy || flow->answered_by != probe.destination);
  const bool answered = led && (flow->answered || told(true, limits::verify_answer_time));
  // Nobody waits for the rest of this connection.
  segment.flags = TH_RST;
  segment.sequence++;
  (void)link.send(tcp_frame(link.far(), link.near(), segment));
  // Its destination is another host's: nobody but the agent would answer.
  if (tproxy) return {answered ? Kind::led : Kind::passed, options.inbound_port, ""};
  if (!led) return {flow ? Kind::passed : Kind::lost, 0, ""};
  return {answered ? Kind::led : Kind::unanswered, flow->answered_by.port(), ""};
}

}  // namespace sallyport::rules
