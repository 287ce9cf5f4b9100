#include "iptables/verify/probe_list.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "agent/core/limits.h"
#include "iptables/backend.h"

namespace sallyport::rules {
namespace {

constexpr uint16_t plain_port = 15002;  // of --run-validation: nobody listens there

bool is_among(const auto& list, const auto& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool is_within(const std::vector<Cidr>& list, const IpAddress& ip) {
  return std::any_of(list.begin(), list.end(), [&](const Cidr& cidr) { return cidr.contains(ip); });
}

// An id that none of the flags speaks of.
uint32_t id_beside(const std::vector<uint32_t>& taken, const std::vector<uint32_t>& others) {
  uint32_t id = 1000;
  while (is_among(taken, id) || is_among(others, id)) id++;
  return id;
}

// Of a network with room for one.
IpAddress first_host(const Cidr& cidr) {
  const auto& network = cidr.network();
  if (cidr.is_single()) return network;
  if (network.is_v4()) {
    uint32_t number = 0;
    for (int i = 0; i < 4; i++) number = number << 8 | network.bytes()[i];
    return IpAddress::v4(number + 1);
  }
  in6_addr bytes;
  std::memcpy(&bytes, network.bytes(), sizeof bytes);
  bytes.s6_addr[15] |= 1;
  return IpAddress::v6(bytes);
}

class List {
public:
  List(const CheckedOptions& checked, Family family, const ProbedAddresses& addresses)
      : checked_(checked), options_(checked.options), family_(family), at_(addresses) {}
  ProbeList write();

private:
  void write_owners();
  void write_ports();
  void write_cidrs();
  void write_interfaces();
  void write_dns();
  void write_loopback();
  void write_inbound();

  bool concerns(const IpAddress& ip) const { return ip.is_v4() == (family_ == Family::v4); }
  uint16_t port_of_outbound(const Probe& probe) const;
  uint16_t port_of_inbound(uint16_t port) const;
  bool captures_group(uint32_t gid) const;
  Probe outbound(std::string about, const IpAddress& to, uint16_t port) const;
  void add(Probe probe);
  void add_inbound(std::string about, uint16_t port);
  void leave_out(std::string what) { out_.left_out.push_back(std::move(what)); }

  const CheckedOptions& checked_;
  const Options& options_;
  Family family_;
  const ProbedAddresses& at_;
  uint32_t uid_ = 0, gid_ = 0;  // the application's
  ProbeList out_;
  std::size_t beyond_ = 0;
};

Probe List::outbound(std::string about, const IpAddress& to, uint16_t port) const {
  return {family_, Direction::outbound, IPPROTO_TCP, std::move(about), {to, port}, uid_, gid_, "",
          0};
}

void List::add(Probe probe) {
  if (out_.probes.size() == limits::verify_probes) {
    beyond_++;
    return;
  }
  if (probe.direction == Direction::outbound) probe.led_to = port_of_outbound(probe);
  out_.probes.push_back(std::move(probe));
}

bool List::captures_group(uint32_t gid) const {
  if (!options_.owner_groups.empty()) return is_among(options_.owner_groups, gid);
  return !is_among(options_.exclude_owner_groups, gid);
}

// Istio's order: iptables.md, "Packet paths".
uint16_t List::port_of_outbound(const Probe& probe) const {
  const IpAddress& to = probe.destination.ip();
  const uint16_t port = probe.destination.port();
  if (is_among(options_.exclude_interfaces, probe.interface)) return 0;
  if (is_among(options_.exclude_outbound_ports, port)) return 0;
  const bool to_itself = to == at_.own;
  if (is_among(options_.proxy_uids, probe.uid))
    return to_itself && port != options_.tunnel_port ? options_.inbound_port : 0;
  if (is_among(options_.proxy_gids, probe.gid) || !captures_group(probe.gid)) return 0;
  const auto& dns = options_.dns;
  if (dns && port == 53 && (dns->all || is_among(dns->servers, to))) return 15053;
  if (probe.protocol != IPPROTO_TCP || to.is_loopback() || to_itself) return 0;
  if (is_within(options_.exclude_outbound_cidrs, to)) return 0;
  const bool captured = checked_.all_outbound || is_among(options_.outbound_ports, port) ||
                        is_within(checked_.outbound_cidrs, to);
  return captured ? options_.outbound_port : uint16_t{0};
}

uint16_t List::port_of_inbound(uint16_t port) const {
  // TPROXY's rules know no tunnel (istio-iptables).
  if (port == options_.tunnel_port && options_.interception == Interception::redirect) return 0;
  const bool captured = checked_.all_inbound ? !is_among(options_.exclude_inbound_ports, port)
                                             : is_among(checked_.inbound_ports, port);
  return captured ? options_.inbound_port : uint16_t{0};
}

void List::write_owners() {
  add(outbound("of the application", at_.outside, plain_port));
  for (const uint32_t uid : options_.proxy_uids) {
    Probe probe = outbound("-u " + std::to_string(uid), at_.outside, plain_port);
    probe.uid = uid;
    add(std::move(probe));
  }
  const auto add_group = [this](const std::string& about, uint32_t gid) {
    Probe probe = outbound(about, at_.outside, plain_port);
    probe.gid = gid;
    add(std::move(probe));
  };
  for (const uint32_t gid : options_.proxy_gids) add_group("-g " + std::to_string(gid), gid);
  for (const uint32_t gid : options_.owner_groups)
    add_group("ISTIO_OUTBOUND_OWNER_GROUPS " + std::to_string(gid), gid);
  if (!options_.owner_groups.empty())
    add_group("not of ISTIO_OUTBOUND_OWNER_GROUPS",
              id_beside(options_.owner_groups, options_.proxy_gids));
  for (const uint32_t gid : options_.exclude_owner_groups)
    add_group("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE " + std::to_string(gid), gid);
}

void List::write_ports() {
  for (const uint16_t port : options_.exclude_outbound_ports)
    add(outbound("-o " + std::to_string(port), at_.outside, port));
  for (const uint16_t port : options_.outbound_ports)
    add(outbound("-q " + std::to_string(port), at_.outside, port));
}

void List::write_cidrs() {
  const auto add_each = [this](const char* flag, const std::vector<Cidr>& list) {
    for (const Cidr& cidr : list) {
      if (!concerns(cidr.network())) continue;
      const auto to = cidr.network().is_unspecified() ? at_.outside : first_host(cidr);
      // The ways to oneself are others, see below.
      if (!to.is_loopback() && to != at_.own)
        add(outbound(flag + (" " + cidr.text()), to, plain_port));
    }
  };
  add_each("-x", options_.exclude_outbound_cidrs);
  add_each("-i", checked_.outbound_cidrs);
}

void List::write_interfaces() {
  for (const auto& interface : options_.exclude_interfaces) {
    if (!is_among(at_.interfaces, interface)) {
      leave_out("-c " + interface + ": there is no such interface");
      continue;
    }
    Probe probe = outbound("-c " + interface, at_.outside, plain_port);
    probe.interface = interface;
    add(std::move(probe));
    leave_out("-c " + interface + ", what arrives: nobody is at its other end");
  }
  for (const auto& interface : options_.guest_interfaces)
    leave_out("-k " + interface + ": a guest is at its other end");
}

void List::write_dns() {
  if (!options_.dns) return;
  std::vector<IpAddress> servers;
  for (const auto& server : options_.dns->servers) {
    if (concerns(server)) servers.push_back(server);
  }
  if (servers.empty() && options_.dns->all) servers.push_back(at_.outside);
  for (const auto& server : servers) {
    for (const uint8_t protocol : {IPPROTO_UDP, IPPROTO_TCP}) {
      Probe probe = outbound("DNS of the application", server, 53);
      probe.protocol = protocol;
      Probe own = probe;
      add(std::move(probe));
      own.about = "DNS of the sidecar";
      own.uid = options_.proxy_uids.front();
      add(std::move(own));
    }
  }
}

void List::write_loopback() {
  const bool asks_for_loopback =
      std::any_of(checked_.outbound_cidrs.begin(), checked_.outbound_cidrs.end(),
                  [](const Cidr& cidr) { return cidr.network().is_loopback(); });
  if (asks_for_loopback) return;
  add(outbound("the application to loopback",
               *IpAddress::parse(family_ == Family::v4 ? "127.0.0.1" : "::1"), plain_port));
  if (!at_.own.is_set()) return;
  add(outbound("the application to its own pod", at_.own, plain_port));
  Probe probe = outbound("the sidecar to its own pod", at_.own, plain_port);
  probe.uid = options_.proxy_uids.front();
  add(std::move(probe));
}

void List::add_inbound(std::string about, uint16_t port) {
  // What TPROXY does not take must not be the pod's own: there it would be answered as well.
  const bool tproxy = options_.interception == Interception::tproxy;
  const auto& to = tproxy || !at_.own.is_set() ? at_.outside : at_.own;
  Probe probe{family_, Direction::inbound,   IPPROTO_TCP, std::move(about), {to, port}, 0, 0,
              "",      port_of_inbound(port)};
  add(std::move(probe));
}

void List::write_inbound() {
  if (!at_.own.is_set() && options_.interception == Interception::redirect)
    return leave_out("what arrives: the pod has no address of this family");
  if (!is_among(checked_.inbound_ports, plain_port)) {
    const char* about = checked_.all_inbound             ? "-b *"
                        : checked_.inbound_ports.empty() ? "no -b"
                                                         : "not of -b";
    add_inbound(about, plain_port);
  }
  for (const uint16_t port : checked_.inbound_ports)
    add_inbound("-b " + std::to_string(port), port);
  if (checked_.all_inbound) {
    for (const uint16_t port : options_.exclude_inbound_ports)
      add_inbound("-d " + std::to_string(port), port);
  }
  if (options_.interception == Interception::redirect)
    add_inbound("the tunnel's port", options_.tunnel_port);
}

ProbeList List::write() {
  uid_ = id_beside(options_.proxy_uids, {});
  gid_ = options_.owner_groups.empty()
             ? id_beside(options_.proxy_gids, options_.exclude_owner_groups)
             : options_.owner_groups.front();
  write_owners();
  write_dns();
  write_ports();
  write_cidrs();
  write_interfaces();
  write_loopback();
  write_inbound();
  if (options_.udp) leave_out("--udp-policy: its verdicts are the sidecar's");
  if (beyond_ > 0)
    leave_out(std::to_string(beyond_) + " more: no more than " +
              std::to_string(limits::verify_probes) + " probes are sent");
  return std::move(out_);
}

}  // namespace

std::string title_of(const Probe& probe) {
  std::string out = std::string(name_of(probe.family)) +
                    (probe.protocol == IPPROTO_TCP ? " TCP " : " UDP ") +
                    (probe.direction == Direction::outbound ? "out" : "in") + " (" + probe.about +
                    "): " + probe.destination.text();
  if (probe.direction == Direction::outbound)
    out += " by uid " + std::to_string(probe.uid) + ", gid " + std::to_string(probe.gid);
  return out;
}

std::string expectation_of(const Probe& probe) {
  return probe.led_to == 0 ? "passes by" : "is led to " + std::to_string(probe.led_to);
}

ProbeList probes_of(const CheckedOptions& checked, Family family,
                    const ProbedAddresses& addresses) {
  return List(checked, family, addresses).write();
}

}  // namespace sallyport::rules
