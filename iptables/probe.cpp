#include "iptables/probe.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/core/address.h"
#include "agent/core/limits.h"
#include "iptables/backend.h"
#include "iptables/descriptor.h"

namespace sallyport::rules {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int original_destination = 80;  // SO_ORIGINAL_DST, and IPv6's

struct FamilyProbe {
  Family family;
  const char *any, *source, *dialled;
};

Error told(const FamilyProbe& probe, const std::string& what) {
  return {.context = std::string(name_of(probe.family)) + ": " + what};
}

Descriptor open_socket(Family family) {
  return Descriptor(socket(family == Family::v4 ? AF_INET : AF_INET6,
                           SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

Result<Descriptor> listen_at(const FamilyProbe& probe, uint16_t port) {
  Descriptor fd = open_socket(probe.family);
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (probe.family == Family::v6) setsockopt(fd.get(), SOL_IPV6, IPV6_V6ONLY, &one, sizeof one);
  sockaddr_storage storage;
  const socklen_t size = SocketAddress(*IpAddress::parse(probe.any), port).fill(storage);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) == 0 &&
      listen(fd.get(), 16) == 0)
    return fd;
  return told(probe, "port " + std::to_string(port) +
                         " can't be listened at for the probe: " + std::strerror(errno));
}

// A socket belongs to whom it was made by.
Descriptor open_as(Family family, uint32_t uid) {
  setfsuid(uid);
  Descriptor out = open_socket(family);
  setfsuid(geteuid());
  return out;
}

// The port that a captured connection was for; 0: it was not captured.
uint16_t dialled_port(Family family, int listener) {
  const Descriptor connection(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockopt(connection.get(), family == Family::v4 ? SOL_IP : SOL_IPV6, original_destination,
                 &storage, &size) != 0)
    return 0;
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage)).port();
}

// One connection. True: it came to a capture port.
bool try_once(const FamilyProbe& probe, const Options& rules, uint16_t port,
              const Descriptor (&listeners)[2], Clock::time_point end) {
  const Descriptor client = open_as(probe.family, rules.proxy_uids.front());
  sockaddr_storage storage;
  // Not the address that is dialled, which the kernel would take: from there nothing is captured.
  socklen_t size = SocketAddress(*IpAddress::parse(probe.source), 0).fill(storage);
  (void)bind(client.get(), reinterpret_cast<const sockaddr*>(&storage), size);
  size = SocketAddress(*IpAddress::parse(probe.dialled), port).fill(storage);
  // It does not wait; whether it was captured the listeners say.
  (void)connect(client.get(), reinterpret_cast<const sockaddr*>(&storage), size);
  pollfd polled[2] = {{listeners[0].get(), POLLIN, 0}, {listeners[1].get(), POLLIN, 0}};
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  const auto wait = std::min(left, std::chrono::milliseconds(limits::iptables_probe_interval));
  if (poll(polled, 2, static_cast<int>(std::max<int64_t>(wait.count(), 0))) <= 0) return false;
  for (const auto& one : polled) {
    if (one.revents != 0 && dialled_port(probe.family, one.fd) == port) return true;
  }
  return false;
}

Result<void> probe_family(const FamilyProbe& probe, const Options& rules,
                          const ProbeOptions& options, Clock::time_point end) {
  auto outbound = listen_at(probe, rules.outbound_port);
  if (!outbound) return outbound.error();
  auto inbound = listen_at(probe, rules.inbound_port);
  if (!inbound) return inbound.error();
  const Descriptor listeners[2] = {std::move(*outbound), std::move(*inbound)};
  do {
    if (try_once(probe, rules, options.port, listeners, end)) return {};
  } while (Clock::now() < end);
  return told(probe, "a connection of uid " + std::to_string(rules.proxy_uids.front()) + " to " +
                         probe.dialled + " port " + std::to_string(options.port) +
                         " came to neither capture port: there are no redirect rules (nat "
                         "ISTIO_OUTPUT), or none for this uid");
}

}  // namespace

IpAddress probed_v4() { return IpAddress::v4(0x7f000006); }

Result<void> probe_capture(const Options& rules, const ProbeOptions& options) {
  const auto end = Clock::now() + options.timeout;
  auto v4 = probe_family({Family::v4, "0.0.0.0", "127.0.0.1", "127.0.0.6"}, rules, options, end);
  if (!v4 || ipv6_state() != Ipv6::needed) return v4;
  return probe_family({Family::v6, "::", "::1", "::6"}, rules, options, end);
}

}  // namespace sallyport::rules
