// What arrives, in TPROXY mode: it keeps its client's address, and the agent's socket is found by
// the kernel instead of by NAT (istio-iptables; iptables.md 6). And packets that conntrack can make
// nothing of.
#include <cstdio>

#include "iptables/plan_writer.h"

namespace sallyport::rules {
namespace {

constexpr const char* whole_mark = " --nfmask 0xffffffff --ctmask 0xffffffff";

std::string hex(uint32_t value) {
  char text[11];
  std::snprintf(text, sizeof text, "0x%x", value);
  return text;
}

class TproxyWriter {
public:
  TproxyWriter(const PlanInput& in, TableWriter& to)
      : in_(in), options_(in.options()), mark_(hex(options_.tproxy_mark)), to_(to) {}
  void write_prerouting();
  void write_inbound();
  void write_output();
  void write_targets();

private:
  void write_captured(const std::string& match);

  const PlanInput& in_;
  const Options& options_;
  std::string mark_;
  TableWriter& to_;
};

void TproxyWriter::write_prerouting() {
  // What guests send is outbound: nat takes it. Istio's rules would take it for inbound here.
  for (const auto& interface : options_.guest_interfaces)
    to_.rule("PREROUTING", marked("-i " + interface, "-j RETURN"));
  if (in_.captures_inbound()) to_.rule("PREROUTING", "-p tcp -j ISTIO_INBOUND");
  // What the agent marked on its way to the application is remembered for the answers.
  to_.rule("PREROUTING", marked("-p tcp -m mark --mark " + mark_,
                                std::string("-j CONNMARK --save-mark") + whole_mark));
}

void TproxyWriter::write_inbound() {
  to_.chain("ISTIO_INBOUND");
  // From the agent to the application: not again.
  to_.rule("ISTIO_INBOUND", "-p tcp -m mark --mark " + mark_ + " -j RETURN");
  to_.rule("ISTIO_INBOUND", "-s " + in_.facts.inbound_source + " -i lo -p tcp -j RETURN");
  // The application to its own address.
  to_.rule("ISTIO_INBOUND", "-i lo -p tcp -m mark ! --mark " + hex(outbound_mark) + " -j RETURN");
  if (in_.checked.all_inbound) {
    for (const uint16_t port : options_.exclude_inbound_ports)
      to_.rule("ISTIO_INBOUND", port_match("tcp", port) + " -j RETURN");
    write_captured("-p tcp");
  }
  for (const uint16_t port : in_.checked.inbound_ports) write_captured(port_match("tcp", port));
}

void TproxyWriter::write_captured(const std::string& match) {
  // conntrack instead of the match "socket", which some kernels lack (istio#22500).
  to_.rule("ISTIO_INBOUND", match + " -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT");
  to_.rule("ISTIO_INBOUND", match + " -j ISTIO_TPROXY");
}

void TproxyWriter::write_output() {
  to_.rule("OUTPUT", marked("-o lo -p tcp -m mark --mark " + mark_, "-j RETURN"));
  const auto mark_own = [&](const char* kind, uint32_t id) {
    to_.rule("OUTPUT", marked("! -d " + in_.facts.loopback + " -o lo -p tcp -m owner " + kind +
                                  std::to_string(id),
                              "-j MARK --set-xmark " + hex(outbound_mark) + "/0xffffffff"));
  };
  for (const uint32_t uid : options_.proxy_uids) mark_own("--uid-owner ", uid);
  for (const uint32_t gid : options_.proxy_gids) mark_own("--gid-owner ", gid);
  // The application's answers go by the route of the mark, to the agent.
  to_.rule("OUTPUT", marked("-p tcp -m connmark --mark " + mark_,
                            std::string("-j CONNMARK --restore-mark") + whole_mark));
}

void TproxyWriter::write_targets() {
  if (!in_.captures_inbound()) return;
  for (const auto chain : {"ISTIO_DIVERT", "ISTIO_TPROXY"}) to_.chain(chain);
  to_.rule("ISTIO_DIVERT", "-j MARK --set-xmark " + mark_ + "/0xffffffff");
  to_.rule("ISTIO_DIVERT", "-j ACCEPT");
  to_.rule("ISTIO_TPROXY", "! -d " + in_.facts.loopback + " -p tcp -j TPROXY --on-port " +
                               std::to_string(options_.inbound_port) + " --on-ip " + in_.facts.any +
                               " --tproxy-mark " + mark_ + "/0xffffffff");
}

}  // namespace

void write_mangle(const PlanInput& in, TableWriter& mangle) {
  const auto& options = in.options();
  if (in.tproxy()) {
    for (const auto& interface : options.exclude_interfaces) {
      mangle.rule("PREROUTING", marked("-i " + interface, "-j RETURN"));
      mangle.rule("OUTPUT", marked("-o " + interface, "-j RETURN"));
    }
  }
  if (options.drop_invalid) {
    // A packet outside the window is not un-NATed: the pod would answer it with RST and kill a live
    // connection.
    mangle.chain("ISTIO_DROP");
    mangle.rule("PREROUTING", "-m conntrack --ctstate INVALID -j ISTIO_DROP");
    mangle.rule("ISTIO_DROP", "-j DROP");
  }
  if (!in.tproxy()) return;
  TproxyWriter writer(in, mangle);
  writer.write_prerouting();
  writer.write_output();
  writer.write_targets();
  writer.write_inbound();
}

}  // namespace sallyport::rules
