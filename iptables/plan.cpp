// Istio's rules in Istio's order, written as iptables-save prints them: the nat table, and how the
// tables come together.
#include <algorithm>
#include <ranges>

#include "iptables/plan_writer.h"
#include "iptables/ruleset.h"

namespace sallyport::rules {
namespace {

class NatWriter {
public:
  NatWriter(const PlanInput& in, TableWriter& to)
      : in_(in), options_(in.options()), facts_(in.facts), to_(to) {}
  void write();

private:
  void rule(std::string_view chain, const std::string& specification) {
    to_.rule(chain, specification);
  }
  void write_guests();
  void write_prerouting();
  void write_inbound();
  void write_inbound_ports();
  void write_output();
  void write_owner(const std::string& kind, uint32_t id);
  void write_captured(std::string_view chain);

  const PlanInput& in_;
  const Options& options_;
  const FamilyFacts& facts_;
  TableWriter& to_;
};

void NatWriter::write() {
  for (const auto chain : {"ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT"})
    to_.chain(chain);
  write_prerouting();
  for (const auto& interface : options_.exclude_interfaces)
    rule("OUTPUT", marked("-o " + interface, "-j RETURN"));
  rule("OUTPUT", "-j ISTIO_OUTPUT");
  write_inbound();
  write_output();
  rule("ISTIO_REDIRECT", "-p tcp -j REDIRECT --to-ports " + std::to_string(options_.outbound_port));
}

// Backwards, for Istio puts each above the one before.
void NatWriter::write_guests() {
  const auto each = [&](const std::string& match, const auto& add) {
    for (const auto& interface : options_.guest_interfaces | std::views::reverse)
      add(match + "-i " + interface);
  };
  const auto redirect = [&](const std::string& match) {
    rule("PREROUTING", match + " -j ISTIO_REDIRECT");
  };
  if (in_.checked.all_outbound) each("", redirect);
  for (const auto& cidr : in_.checked.outbound_cidrs | std::views::reverse) {
    if (in_.concerns(cidr.network())) each(destination(cidr), redirect);
  }
  each("", [&](const std::string& match) { rule("PREROUTING", marked(match, "-j RETURN")); });
}

void NatWriter::write_prerouting() {
  write_guests();
  for (const auto& interface : options_.exclude_interfaces)
    rule("PREROUTING", marked("-i " + interface, "-j RETURN"));
  if (in_.captures_inbound() && !in_.tproxy()) rule("PREROUTING", "-p tcp -j ISTIO_INBOUND");
}

void NatWriter::write_inbound() {
  // The tunnel's listener takes its connections straight.
  rule("ISTIO_INBOUND", port_match("tcp", options_.tunnel_port) + " -j RETURN");
  if (!in_.tproxy()) write_inbound_ports();
  // In each mode: the proxy's calls to its own pod come here.
  rule("ISTIO_IN_REDIRECT",
       "-p tcp -j REDIRECT --to-ports " + std::to_string(options_.inbound_port));
}

void NatWriter::write_inbound_ports() {
  if (in_.checked.all_inbound) {
    for (const uint16_t port : options_.exclude_inbound_ports)
      rule("ISTIO_INBOUND", port_match("tcp", port) + " -j RETURN");
    rule("ISTIO_INBOUND", "-p tcp -j ISTIO_IN_REDIRECT");
  }
  for (const uint16_t port : in_.checked.inbound_ports)
    rule("ISTIO_INBOUND", port_match("tcp", port) + " -j ISTIO_IN_REDIRECT");
}

void NatWriter::write_output() {
  for (const uint16_t port : options_.exclude_outbound_ports) {
    rule("ISTIO_OUTPUT", port_match("tcp", port) + " -j RETURN");
    rule("ISTIO_OUTPUT", port_match("udp", port) + " -j RETURN");
  }
  // What the inbound side opens to the application must not be taken again.
  rule("ISTIO_OUTPUT", "-s " + facts_.inbound_source + " -o lo -j RETURN");
  for (const uint32_t uid : options_.proxy_uids) write_owner("--uid-owner", uid);
  for (const uint32_t gid : options_.proxy_gids) write_owner("--gid-owner", gid);
  write_captured(write_owner_groups(in_, to_, "ISTIO_OUTPUT", "ISTIO_OUTPUT_GROUPS"));
}

void NatWriter::write_owner(const std::string& kind, uint32_t id) {
  const std::string owner = kind + " " + std::to_string(id);
  const bool dns = options_.dns.has_value();
  const std::string tunnel = std::to_string(options_.tunnel_port);
  // The proxy's call to an endpoint of its own pod passes the inbound side, as a peer's would. Its
  // query to a resolver of its own pod does not (by uid alone, as in Istio).
  const std::string ports = dns && kind == "--uid-owner" ? "-m multiport ! --dports 53," + tunnel
                                                         : "-m tcp ! --dport " + tunnel;
  rule("ISTIO_OUTPUT", "! -d " + facts_.loopback + " -o lo -p tcp " + ports + " -m owner " + owner +
                           " -j ISTIO_IN_REDIRECT");
  // The application's calls to itself stay as they are, unless -i asks for loopback; its queries to
  // a resolver on loopback are for the DNS proxy.
  const std::string queries = dns ? "-p tcp -m tcp ! --dport 53 " : "";
  if (!in_.captures_loopback())
    rule("ISTIO_OUTPUT", "-o lo " + queries + "-m owner ! " + owner + " -j RETURN");
  // Everything else of the proxy goes out: no loops.
  rule("ISTIO_OUTPUT", "-m owner " + owner + " -j RETURN");
}

void NatWriter::write_captured(std::string_view chain) {
  if (in_.captures_dns()) {
    rule(chain, "-j ISTIO_OUTPUT_DNS");
    write_dns_nat(in_, to_);
  }
  rule(chain, "-d " + facts_.loopback + " -j RETURN");
  for (const auto& cidr : options_.exclude_outbound_cidrs) {
    if (in_.concerns(cidr.network())) rule(chain, destination(cidr) + "-j RETURN");
  }
  for (const uint16_t port : options_.outbound_ports)
    rule(chain, port_match("tcp", port) + " -j ISTIO_REDIRECT");
  if (in_.checked.all_outbound) rule(chain, "-j ISTIO_REDIRECT");
  for (const auto& cidr : in_.checked.outbound_cidrs) {
    if (in_.concerns(cidr.network())) rule(chain, destination(cidr) + "-j ISTIO_REDIRECT");
  }
}

std::string write_family(const CheckedOptions& checked, const FamilyFacts& facts) {
  const PlanInput in{checked, facts};
  TableWriter raw, mangle, filter, nat;
  if (checked.options.dns) write_dns_raw(in, raw);
  write_mangle(in, mangle);
  write_filter(in, filter);
  NatWriter(in, nat).write();
  return raw.text("raw") + mangle.text("mangle") + filter.text("filter") + nat.text("nat");
}

}  // namespace

Result<Plan> plan(const Options& options) {
  const auto checked = check(options);
  if (!checked) return checked.error();
  const std::string loopback_v4 =
      options.loopback_v4 ? options.loopback_v4->text() : "127.0.0.1/32";
  return Plan{
      .restore_v4 = write_family(*checked, {Family::v4, loopback_v4, "127.0.0.6/32", "0.0.0.0"}),
      .restore_v6 = write_family(*checked, {Family::v6, "::1/128", "::6/128", "::"})};
}

}  // namespace sallyport::rules
