// Istio's rules in Istio's order, written as iptables-save prints them.
#include <algorithm>

#include "iptables/options.h"
#include "iptables/ruleset.h"

namespace sallyport::rules {
namespace {

// The part of the plan that differs between IPv4 and IPv6.
struct FamilyFacts {
  Family family;
  std::string loopback;        // traffic of the application to itself, never captured
  std::string inbound_source;  // where the inbound side's connections to the application come from
};

class Writer {
public:
  Writer(const CheckedOptions& checked, FamilyFacts facts)
      : checked_(checked), options_(checked.options), facts_(std::move(facts)) {}
  std::string write();

private:
  void rule(std::string_view chain, const std::string& specification) {
    ((text_ += "-A ") += chain) += " " + specification + "\n";
  }
  void write_prerouting();
  void write_inbound();
  void write_output();
  void write_owner(const std::string& kind, uint32_t id);
  void write_captured();
  bool is_loopback_captured() const;
  bool concerns(const Cidr& cidr) const {
    return cidr.network().is_v4() == (facts_.family == Family::v4);
  }

  const CheckedOptions& checked_;
  const Options& options_;
  FamilyFacts facts_;
  std::string text_;
};

std::string port_match(std::string_view protocol, uint16_t port) {
  const std::string name(protocol);
  return "-p " + name + " -m " + name + " --dport " + std::to_string(port);
}

// An empty string for a whole family: iptables-save leaves that match out, and verify compares with
// what it prints.
std::string destination(const Cidr& cidr) {
  return cidr.prefix() == 0 ? "" : "-d " + cidr.text() + " ";
}

// RETURN rules in the built-in chains carry our name, since nothing else tells them from other
// people's.
std::string marked_return(std::string_view direction, const std::string& interface) {
  return std::string(direction) + " " + interface + " -m comment --comment " +
         std::string(rule_comment) + " -j RETURN";
}

std::string Writer::write() {
  if (options_.drop_invalid) {
    // A packet outside the window is not un-NATed: the pod would answer it with RST and kill a live
    // connection.
    text_ += "*mangle\n:ISTIO_DROP - [0:0]\n";
    rule("PREROUTING", "-m conntrack --ctstate INVALID -j ISTIO_DROP");
    rule("ISTIO_DROP", "-j DROP");
    text_ += "COMMIT\n";
  }
  text_ += "*nat\n";
  for (const auto chain :
       {"ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT"}) {
    text_ += ":" + std::string(chain) + " - [0:0]\n";
  }
  write_prerouting();
  for (const auto& interface : options_.exclude_interfaces)
    rule("OUTPUT", marked_return("-o", interface));
  rule("OUTPUT", "-j ISTIO_OUTPUT");
  write_inbound();
  write_output();
  rule("ISTIO_REDIRECT", "-p tcp -j REDIRECT --to-ports " + std::to_string(options_.outbound_port));
  return text_ += "COMMIT\n";
}

void Writer::write_prerouting() {
  for (const auto& interface : options_.guest_interfaces) {
    if (checked_.all_outbound) rule("PREROUTING", "-i " + interface + " -j ISTIO_REDIRECT");
    for (const auto& cidr : checked_.outbound_cidrs) {
      if (concerns(cidr))
        rule("PREROUTING", destination(cidr) + "-i " + interface + " -j ISTIO_REDIRECT");
    }
    rule("PREROUTING", marked_return("-i", interface));
  }
  for (const auto& interface : options_.exclude_interfaces) {
    rule("PREROUTING", marked_return("-i", interface));
  }
  if (checked_.all_inbound || !checked_.inbound_ports.empty()) {
    rule("PREROUTING", "-p tcp -j ISTIO_INBOUND");
  }
}

void Writer::write_inbound() {
  // The tunnel's listener takes its connections straight.
  rule("ISTIO_INBOUND", port_match("tcp", options_.tunnel_port) + " -j RETURN");
  if (checked_.all_inbound) {
    for (const uint16_t port : options_.exclude_inbound_ports) {
      rule("ISTIO_INBOUND", port_match("tcp", port) + " -j RETURN");
    }
    rule("ISTIO_INBOUND", "-p tcp -j ISTIO_IN_REDIRECT");
  }
  for (const uint16_t port : checked_.inbound_ports) {
    rule("ISTIO_INBOUND", port_match("tcp", port) + " -j ISTIO_IN_REDIRECT");
  }
  rule("ISTIO_IN_REDIRECT",
       "-p tcp -j REDIRECT --to-ports " + std::to_string(options_.inbound_port));
}

void Writer::write_output() {
  for (const uint16_t port : options_.exclude_outbound_ports) {
    rule("ISTIO_OUTPUT", port_match("tcp", port) + " -j RETURN");
    rule("ISTIO_OUTPUT", port_match("udp", port) + " -j RETURN");
  }
  // What the inbound side opens to the application must not be taken again.
  rule("ISTIO_OUTPUT", "-s " + facts_.inbound_source + " -o lo -j RETURN");
  for (const uint32_t uid : options_.proxy_uids) write_owner("--uid-owner", uid);
  for (const uint32_t gid : options_.proxy_gids) write_owner("--gid-owner", gid);
  rule("ISTIO_OUTPUT", "-d " + facts_.loopback + " -j RETURN");
  write_captured();
}

void Writer::write_owner(const std::string& kind, uint32_t id) {
  const std::string owner = kind + " " + std::to_string(id);
  // The proxy's call to an endpoint of its own pod passes the inbound side, as a peer's would.
  rule("ISTIO_OUTPUT", "! -d " + facts_.loopback + " -o lo -p tcp -m tcp ! --dport " +
                           std::to_string(options_.tunnel_port) + " -m owner " + owner +
                           " -j ISTIO_IN_REDIRECT");
  // The application's calls to itself stay as they are, unless -i asks for loopback.
  if (!is_loopback_captured()) rule("ISTIO_OUTPUT", "-o lo -m owner ! " + owner + " -j RETURN");
  // Everything else of the proxy goes out: no loops.
  rule("ISTIO_OUTPUT", "-m owner " + owner + " -j RETURN");
}

bool Writer::is_loopback_captured() const {
  const auto& cidrs = checked_.outbound_cidrs;  // Of either family, as in Istio.
  return std::any_of(cidrs.begin(), cidrs.end(),
                     [](const Cidr& cidr) { return cidr.network().is_loopback(); });
}

void Writer::write_captured() {
  for (const auto& cidr : options_.exclude_outbound_cidrs) {
    if (concerns(cidr)) rule("ISTIO_OUTPUT", destination(cidr) + "-j RETURN");
  }
  for (const uint16_t port : options_.outbound_ports) {
    rule("ISTIO_OUTPUT", port_match("tcp", port) + " -j ISTIO_REDIRECT");
  }
  if (checked_.all_outbound) rule("ISTIO_OUTPUT", "-j ISTIO_REDIRECT");
  for (const auto& cidr : checked_.outbound_cidrs) {
    if (concerns(cidr)) rule("ISTIO_OUTPUT", destination(cidr) + "-j ISTIO_REDIRECT");
  }
}

}  // namespace

Result<Plan> plan(const Options& options) {
  const auto checked = check(options);
  if (!checked) return checked.error();
  const std::string loopback_v4 =
      options.loopback_v4 ? options.loopback_v4->text() : "127.0.0.1/32";
  return Plan{.restore_v4 = Writer(*checked, {Family::v4, loopback_v4, "127.0.0.6/32"}).write(),
              .restore_v6 = Writer(*checked, {Family::v6, "::1/128", "::6/128"}).write()};
}

}  // namespace sallyport::rules
