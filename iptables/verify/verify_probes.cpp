#include "iptables/verify/verify_probes.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>

#include "iptables/backend.h"
#include "iptables/namespace_lock.h"
#include "iptables/verify/blame.h"

namespace sallyport::rules {
namespace {

constexpr in6_addr outside_v6 = {{{0x20, 1, 0xd, 0xb8, 0x5a, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}};
constexpr uint32_t outside_v4 = 0xc6336401;  // 198.51.100.1
constexpr uint16_t first_source_port = 20'000;

bool is_reachable(const IpAddress& ip) {
  const bool link_local = ip.is_v6() && ip.bytes()[0] == 0xfe && (ip.bytes()[1] & 0xc0) == 0x80;
  return !ip.is_loopback() && !link_local;
}

ProbedAddresses addresses_of(Family family) {
  ProbedAddresses out;
  out.outside = family == Family::v4 ? IpAddress::v4(outside_v4) : IpAddress::v6(outside_v6);
  ifaddrs* head = nullptr;
  if (getifaddrs(&head) != 0) return out;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(head, &freeifaddrs);
  for (const ifaddrs* entry = head; entry != nullptr; entry = entry->ifa_next) {
    if (TestLink::is_end(entry->ifa_name)) continue;  // left by a run that was ended
    out.interfaces.emplace_back(entry->ifa_name);
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const auto ip = SocketAddress::from(entry->ifa_addr).ip();
    const bool is_first = !out.own.is_set() && ip.is_set();
    if (is_first && ip.is_v4() == (family == Family::v4) && is_reachable(ip)) out.own = ip;
  }
  return out;
}

// The source and the interface of what the pod sends to `destination`, where a route leads there.
struct LocalEnd {
  std::optional<IpAddress> source;
  std::optional<std::string> device;
};

LocalEnd local_end(const SocketAddress& destination) {
  LocalEnd out;
  const Descriptor fd(socket(destination.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  socklen_t size = destination.fill(storage);
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  if (connect(fd.get(), address, size) != 0) return out;
  size = sizeof storage;
  if (getsockname(fd.get(), address, &size) != 0) return out;
  out.source = SocketAddress::from(address).ip();
  ifaddrs* head = nullptr;
  if (getifaddrs(&head) != 0) return out;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(head, &freeifaddrs);
  for (const ifaddrs* entry = head; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr != nullptr && SocketAddress::from(entry->ifa_addr).ip() == *out.source)
      out.device = entry->ifa_name;
  }
  return out;
}

class FamilyProbes {
public:
  FamilyProbes(const CheckedOptions& checked, Family family, const ProbedAddresses& addresses,
               FlowObserver& observer, const Result<TestLink>& link, ProbeReport& report)
      : checked_(checked),
        family_(family),
        addresses_(addresses),
        observer_(observer),
        link_(link),
        report_(report) {}
  void run();

private:
  Outcome send(const Probe& probe);
  std::string why(const Probe& probe, const Outcome& outcome) const;
  void tell(const Probe& probe, const Outcome& outcome);

  const CheckedOptions& checked_;
  Family family_;
  const ProbedAddresses& addresses_;
  FlowObserver& observer_;
  const Result<TestLink>& link_;
  ProbeReport& report_;
  uint16_t next_source_port_ = first_source_port;
};

Outcome FamilyProbes::send(const Probe& probe) {
  if (probe.direction == Direction::outbound) return send_outbound(probe, observer_);
  if (!link_) return {Outcome::Kind::not_sent, 0, link_.error().context};
  return send_inbound(probe, *link_, next_source_port_++, checked_.options, observer_);
}

std::string FamilyProbes::why(const Probe& probe, const Outcome& outcome) const {
  WalkedPacket packet{probe.family,
                      probe.direction,
                      probe.protocol,
                      probe.destination.ip(),
                      probe.destination.port(),
                      {},
                      {},
                      probe.uid,
                      probe.gid,
                      false};
  packet.to_itself =
      probe.destination.ip() == addresses_.own || probe.destination.ip().is_loopback();
  if (probe.direction == Direction::outbound) {
    const auto local = local_end(probe.destination);
    packet.source = local.source;
    packet.device = local.device;
    if (packet.to_itself) packet.device = "lo";
    if (!probe.interface.empty()) packet.device = probe.interface;
  }
  std::vector<Decision> decisions;
  const auto found = survey(family_);
  if (!found) return found.error().context;
  for (const auto& entry : found->usable) {
    const auto save = saved_rules(entry.tool);
    if (!save) return save.error().context;
    for (auto& decision : walk(*save, packet)) decisions.push_back(std::move(decision));
  }
  return blame(probe, outcome, decisions);
}

void FamilyProbes::tell(const Probe& probe, const Outcome& outcome) {
  auto& text = report_.text;
  if (outcome.kind == Outcome::Kind::not_sent) {
    text += "?     " + title_of(probe) + " " + text_of(outcome) + "\n";
    return;
  }
  report_.sent++;
  if (as_expected(probe, outcome)) {
    text += "ok    " + title_of(probe) + " " + text_of(outcome) + "\n";
    return;
  }
  report_.astray++;
  text += "FAIL  " + title_of(probe) + " " + text_of(outcome) + ", but by the flags " +
          expectation_of(probe) + "; " + why(probe, outcome) + "\n";
}

void FamilyProbes::run() {
  const auto list = probes_of(checked_, family_, addresses_);
  const CapturePorts listeners(checked_.options, family_);
  for (const auto& probe : list.probes) tell(probe, send(probe));
  for (const auto& what : list.left_out)
    report_.text += "?     " + std::string(name_of(family_)) + " not probed: " + what + "\n";
}

}  // namespace

Result<ProbeReport> send_probes(const Options& options) {
  const auto checked = check(options);
  if (!checked) return checked.error();
  if (const auto allowed = require_net_admin(); !allowed) return allowed.error();
  const auto lock = NamespaceLock::take();
  if (!lock) return lock.error();
  ProbeReport out;
  auto observer = FlowObserver::open();
  if (!observer) {
    out.text = "?     not probed: " + observer.error().context + "\n";
    return out;
  }
  const bool v6 = ipv6_state() == Ipv6::needed;
  // Before the link comes, whose addresses are not the pod's.
  const auto addresses_v4 = addresses_of(Family::v4), addresses_v6 = addresses_of(Family::v6);
  const auto link = TestLink::make(v6);
  FamilyProbes(*checked, Family::v4, addresses_v4, *observer, link, out).run();
  if (v6) FamilyProbes(*checked, Family::v6, addresses_v6, *observer, link, out).run();
  return out;
}

}  // namespace sallyport::rules
