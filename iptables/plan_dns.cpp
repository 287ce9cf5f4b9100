// The way of DNS queries to the proxy on 15053. NAT notes a flow by its addresses and ports, and
// UDP source ports come again: so the application's queries and the agent's own are kept apart in
// conntrack zones (istio#33469).
#include <algorithm>

#include "iptables/plan_writer.h"

namespace sallyport::rules {
namespace {

constexpr const char* to_proxy = " -j REDIRECT --to-ports 15053";
constexpr const char* zone_of_agent = " -j CT --zone 1";
constexpr const char* zone_of_application = " -j CT --zone 2";

// "-d 10.0.0.10/32 " a server of the family, or one "" for all of them; `direction` is -d or -s.
std::vector<std::string> server_matches(const PlanInput& in, std::string_view direction) {
  const auto& dns = *in.options().dns;
  if (dns.all) return {""};
  std::vector<std::string> out;
  for (const auto& server : dns.servers) {
    if (in.concerns(server))
      out.push_back(std::string(direction) + " " + server.text() +
                    (server.is_v4() ? "/32 " : "/128 "));
  }
  return out;
}

}  // namespace

bool PlanInput::captures_dns() const {
  const auto& dns = options().dns;
  return dns && (dns->all || std::any_of(dns->servers.begin(), dns->servers.end(),
                                         [&](const auto& server) { return concerns(server); }));
}

void write_dns_nat(const PlanInput& in, TableWriter& nat) {
  nat.chain("ISTIO_OUTPUT_DNS");
  // The servers only, so that a local dnsmasq's own queries to its upstream don't go in a circle.
  for (const auto protocol : {"tcp", "udp"}) {
    for (const auto& match : server_matches(in, "-d"))
      nat.rule("ISTIO_OUTPUT_DNS", match + port_match(protocol, 53) + to_proxy);
  }
}

void write_dns_raw(const PlanInput& in, TableWriter& raw) {
  raw.chain("ISTIO_OUTPUT_DNS");
  raw.rule("OUTPUT", "-j ISTIO_OUTPUT_DNS");
  const auto write_owner = [&](const std::string& owner) {
    raw.rule("ISTIO_OUTPUT_DNS", port_match("udp", 53) + owner + zone_of_agent);
    raw.rule("ISTIO_OUTPUT_DNS", "-p udp -m udp --sport 15053" + owner + zone_of_application);
  };
  for (const uint32_t uid : in.options().proxy_uids)
    write_owner(" -m owner --uid-owner " + std::to_string(uid));
  for (const uint32_t gid : in.options().proxy_gids)
    write_owner(" -m owner --gid-owner " + std::to_string(gid));
  for (const auto& match : server_matches(in, "-d"))
    raw.rule("ISTIO_OUTPUT_DNS", match + port_match("udp", 53) + zone_of_application);
  if (!in.captures_dns()) return;
  raw.chain("ISTIO_INBOUND");
  raw.rule("PREROUTING", "-j ISTIO_INBOUND");
  for (const auto& match : server_matches(in, "-s"))
    raw.rule("ISTIO_INBOUND", match + "-p udp -m udp --sport 53" + zone_of_agent);
}

}  // namespace sallyport::rules
