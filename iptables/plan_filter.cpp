// The filter table, of which istio-iptables has nothing. SYNs are held until the agent listens: a
// dropped one is sent again by the kernel that sent it, so that nothing has to be kept. And the
// first datagrams of a UDP flow wait for the agent's verdict (--udp-policy), unless their like in
// TCP would not be captured either.
#include <cstdio>
#include <ctime>

#include "iptables/plan_writer.h"
#include "iptables/udp_marks.h"

namespace sallyport::rules {
namespace {

// As iptables-save prints it.
std::string utc(std::chrono::sys_seconds time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return text;
}

// "-m connmark --mark 0x10000/0x30000"
std::string mark_match(const char* match, uint32_t mark) {
  char text[64];
  std::snprintf(text, sizeof text, "-m %s --mark 0x%x/0x%x", match, mark, udp_mark_mask);
  return text;
}

class UdpWriter {
public:
  UdpWriter(const PlanInput& in, TableWriter& to)
      : in_(in), options_(in.options()), policy_(*in.options().udp), to_(to) {}
  void write();

private:
  void rule(const std::string& specification) { to_.rule("ISTIO_UDP", specification); }
  void write_verdicts();
  void write_exclusions();
  void write_queued(std::string_view chain);

  const PlanInput& in_;
  const Options& options_;
  const UdpQueue& policy_;
  TableWriter& to_;
};

void UdpWriter::write() {
  to_.chain("ISTIO_UDP");
  to_.rule("OUTPUT", "-p udp -j ISTIO_UDP");
  write_verdicts();
  write_exclusions();
  write_queued(write_owner_groups(in_, to_, "ISTIO_UDP", "ISTIO_UDP_GROUPS"));
}

// First, for what comes later in a flow passes nothing else. The agent gives its verdict as the
// packet's mark, and has it pass these rules once more: not every kernel lets it set a connmark.
void UdpWriter::write_verdicts() {
  const std::string refuse =
      std::string(" -j REJECT --reject-with ") +
      (in_.facts.family == Family::v4 ? "icmp-port-unreachable" : "icmp6-port-unreachable");
  const auto verdict = [&](const std::string& specification) {
    to_.rule("ISTIO_UDP_VERDICT", specification);
  };
  char mask[16];
  std::snprintf(mask, sizeof mask, "0x%x", udp_mark_mask);
  to_.chain("ISTIO_UDP_VERDICT");
  rule(mark_match("connmark", udp_allowed) + " -j RETURN");
  if (!policy_.fail_open) rule(mark_match("connmark", udp_refused) + refuse);
  rule(mark_match("mark", udp_allowed) + " -g ISTIO_UDP_VERDICT");
  if (!policy_.fail_open) rule(mark_match("mark", udp_refused) + refuse);
  verdict(std::string("-j CONNMARK --save-mark --nfmask ") + mask + " --ctmask " + mask);
  verdict(std::string("-j MARK --set-xmark 0x0/") + mask);
  // Answers of the application's own servers.
  rule("-m conntrack --ctdir REPLY -j RETURN");
}

// In the order of nat's ISTIO_OUTPUT.
void UdpWriter::write_exclusions() {
  for (const auto& interface : options_.exclude_interfaces) rule("-o " + interface + " -j RETURN");
  for (const uint16_t port : options_.exclude_outbound_ports)
    rule(port_match("udp", port) + " -j RETURN");
  if (!in_.captures_loopback()) rule("-o lo -j RETURN");
  for (const uint32_t uid : options_.proxy_uids)
    rule("-m owner --uid-owner " + std::to_string(uid) + " -j RETURN");
  for (const uint32_t gid : options_.proxy_gids)
    rule("-m owner --gid-owner " + std::to_string(gid) + " -j RETURN");
}

void UdpWriter::write_queued(std::string_view chain) {
  const auto add = [&](const std::string& match, const char* verdict) {
    to_.rule(chain, match + verdict);
  };
  for (const auto& server : policy_.dns_servers) {
    if (in_.concerns(server))
      add("-d " + server.text() + (server.is_v4() ? "/32 " : "/128 ") + port_match("udp", 53),
          " -j RETURN");
  }
  add("-d " + in_.facts.loopback, " -j RETURN");
  for (const auto& cidr : options_.exclude_outbound_cidrs) {
    if (in_.concerns(cidr.network())) add(destination(cidr), "-j RETURN");
  }
  const std::string queue = "-j NFQUEUE --queue-num " + std::to_string(udp_queue) +
                            (policy_.fail_open ? " --queue-bypass" : "");
  for (const uint16_t port : options_.outbound_ports)
    add(port_match("udp", port) + " ", queue.c_str());
  if (in_.checked.all_outbound) add("", queue.c_str());
  for (const auto& cidr : in_.checked.outbound_cidrs) {
    if (in_.concerns(cidr.network())) add(destination(cidr), queue.c_str());
  }
}

void write_hold(const PlanInput& in, TableWriter& filter) {
  const Options& options = in.options();
  const std::string syn = " --tcp-flags FIN,SYN,RST,ACK SYN -j ISTIO_HOLD";
  const std::string port = std::to_string(options.outbound_port);
  filter.chain("ISTIO_HOLD");
  if (in.captures_dns()) {
    // A question by UDP is met by silence in any case: the error for it is in another zone.
    filter.rule("INPUT", "-p tcp -m multiport --dports " + port + ",15053 -m tcp" + syn);
  } else {
    filter.rule("INPUT", port_match("tcp", options.outbound_port) + syn);
  }
  // Whoever listens, at any address.
  filter.rule("ISTIO_HOLD", "-m socket --nowildcard -j RETURN");
  filter.rule("ISTIO_HOLD", "-m time --datestop " + utc(*options.hold_until) + " -j DROP");
}

}  // namespace

void write_filter(const PlanInput& in, TableWriter& filter) {
  if (in.options().hold_until) write_hold(in, filter);
  if (in.options().udp) UdpWriter(in, filter).write();
}

}  // namespace sallyport::rules
