// The redirect rules of a pod: a pure plan, and carrying it out through iptables-restore.
// Facts: Istio's own chains, order and flags (istio-iptables).
//
// Threading: every call works on the calling thread's network namespace and blocks until iptables
// is done. Ours are: the chains that Istio names (ISTIO_INBOUND, ISTIO_OUTPUT, ...), every rule
// elsewhere that jumps to one of them, and rules with the comment "sallyport". All else in the
// tables belongs to others and stays.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::rules {

enum class Family : uint8_t { v4, v6 };
enum class Backend : uint8_t { legacy, nft };
enum class Interception : uint8_t { redirect, tproxy };  // of what arrives; what leaves: REDIRECT

// The resolvers whose port 53 leads to the DNS proxy.
struct DnsCapture {
  bool all = false;                // --capture-all-dns: port 53 of every address
  std::vector<IpAddress> servers;  // else these: of the pod's resolv.conf
};

// --udp-policy: datagrams of flows that nobody knows wait in NFQUEUE (udp_marks.h).
struct UdpQueue {
  bool fail_open = false;              // log: without a reader they pass; else, enforce, they don't
  std::vector<IpAddress> dns_servers;  // whose port 53 stays out of it
};

struct Options {                                // istio-iptables' flags, same meaning and defaults
  uint16_t outbound_port = 15001;               // -p --envoy-port
  uint16_t inbound_port = 15006;                // -z --inbound-capture-port
  uint16_t tunnel_port = 15008;                 // -e --inbound-tunnel-port
  std::vector<uint32_t> proxy_uids{1337};       // -u
  std::vector<uint32_t> proxy_gids{1337};       // -g; default = uids
  std::string inbound_ports;                    // -b: "" nothing, "*" all, or a list
  std::vector<uint16_t> exclude_inbound_ports;  // -d; only with "*"
  std::string outbound_cidrs;                // -i: "" nothing, "*" all, or a list of both families
  std::vector<Cidr> exclude_outbound_cidrs;  // -x
  std::vector<uint16_t> outbound_ports;      // -q
  std::vector<uint16_t> exclude_outbound_ports;  // -o, TCP and UDP
  std::vector<std::string> exclude_interfaces;   // -c
  std::vector<std::string> guest_interfaces;     // -k: what arrives there is treated as outbound
  bool drop_invalid = false;                     // --drop-invalid
  Interception interception = Interception::redirect;  // -m
  uint32_t tproxy_mark = 1337;                         // -t; the sidecar's, too
  uint32_t tproxy_route_table = 133;                   // -r; where packets with the mark are local
  // Whose traffic leaving the pod is captured: everybody's; these groups'; everybody's but theirs.
  std::vector<uint32_t> owner_groups;          // ISTIO_OUTBOUND_OWNER_GROUPS, if not "*"
  std::vector<uint32_t> exclude_owner_groups;  // ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE; only with "*"
  std::optional<DnsCapture> dns;               // --redirect-dns
  std::optional<UdpQueue> udp;                 // --udp-policy; none: UDP passes by
  // SYNs to a port where no agent listens are dropped until then, so that their senders try again,
  // instead of refused; none: never. Where the kernel can't, apply() goes without.
  std::optional<std::chrono::sys_seconds> hold_until;
  bool native = false;              // --native-nftables: by nft, in tables of our own
  std::optional<Cidr> loopback_v4;  // ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR; default 127.0.0.1/32
  std::optional<Backend> backend;   // --force-iptables-binary; default: detected
};

// Lists as the flags take them: split at commas, empty items dropped. Ports are 1..65535, CIDRs
// have their mask, ids (of users or groups) are numbers. Errors name `flag` and the item.
Result<std::vector<uint16_t>> parse_ports(std::string_view list, std::string_view flag);
Result<std::vector<Cidr>> parse_cidrs(std::string_view list, std::string_view flag);
Result<std::vector<uint32_t>> parse_ids(std::string_view list, std::string_view flag);
Result<uint32_t> parse_number(std::string_view text, std::string_view flag);
std::vector<std::string> split_list(std::string_view list);

struct Plan {
  // The iptables-restore input for one family that fills an empty network namespace: our chains and
  // the jumps to them, one commit a table. apply() makes from it what the present state needs.
  std::string restore_v4, restore_v6;
};

// Pure. Errors: a port, CIDR, interface, group, mark or list that is not valid, named with its
// flag.
Result<Plan> plan(const Options& options);

// The same for people, of both families; with options.native the input for `nft -f -`. Errors as
// plan()'s.
Result<std::string> plan_text(const Options& options);

struct Applied {
  Backend backend_v4 = Backend::nft;
  std::optional<Backend> backend_v6;  // unset: no IPv6 rules were needed, the report says why
  bool changed = false;               // false: everything was there already
  std::string report;                 // what was done, a line each, for the user
};

// What to do where rules of ours are there that are not those of the options: refuse, with the
// first difference, or make them so. Tables and families without any rule of ours are no drift.
enum class OnDrift : uint8_t { refuse, mend };

// Makes the rules of this network namespace those of `options`, in one commit a table; what is
// there already is not touched, and what is captured stays so meanwhile. IPv6 gets its rules
// wherever the kernel has IPv6 on; that they can't be made is an error only when the namespace has
// an IPv6 address beyond loopback and link-local. Also gives `lo` the address ::6, the source of
// the inbound side's connections to the application (127.0.0.6 needs no such help), and for TPROXY
// the route of its mark. Needs CAP_NET_ADMIN. Detects the backend without creating tables in the
// other one; options.native: the rules are nft's. Waits while another run changes this namespace.
// On failure the rules are as before.
Result<Applied> apply(const Options& options, OnDrift on_drift = OnDrift::mend);

// Whether the calling thread is in the machine's first network namespace, a node's or a VM's: no
// pod's but one with hostNetwork.
bool is_host_network();

// Removes our chains, jumps, routes and the address ::6 in both backends and families, whatever
// flags made them. Returns what was done, a line each. On failure the rules are as before.
Result<std::string> remove();

// Says whether the rules are in place and in order, and changes nothing. The error names the first
// difference.
Result<std::string> verify(const Options& options);

}  // namespace sallyport::rules
