// The redirect rules of a pod: a pure plan, and carrying it out through iptables-restore.
// Facts: Istio's own chains, order and flags (istio-iptables).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::rules {

struct Options {                           // istio-iptables' flags, same meaning and defaults
  uint16_t outbound_port = 15001;          // -p --envoy-port
  uint16_t inbound_port = 15006;           // -z --inbound-capture-port
  uint16_t tunnel_port = 15008;            // -e
  std::vector<uint32_t> proxy_uids{1337};  // -u
  std::vector<uint32_t> proxy_gids{1337};  // -g; default = uids
  std::string inbound_ports;               // -b: "" nothing, "*" all, or a list
  std::vector<uint16_t> exclude_inbound_ports;   // -d; only with "*"
  std::string outbound_cidrs;              // -i: "" nothing, "*" all, or a list of both families
  std::vector<Cidr> exclude_outbound_cidrs;      // -x
  std::vector<uint16_t> outbound_ports;          // -q
  std::vector<uint16_t> exclude_outbound_ports;  // -o, TCP and UDP
  std::vector<std::string> exclude_interfaces;   // -c
};

enum class Family : uint8_t { v4, v6 };
struct Plan {
  // The iptables-restore input for one family: flushes and refills our chains and sets the jumps, one commit a table.
  std::string restore_v4, restore_v6;
};

// Pure. Errors: a port, CIDR or list that is not valid, named with its flag.
Result<Plan> plan(const Options& options);

enum class Backend : uint8_t { legacy, nft };

struct Applied {
  Backend backend_v4, backend_v6;
  bool changed = false;                    // false: everything was there already
  std::string report;                      // what was done, a line each, for the user
};
// Needs CAP_NET_ADMIN. Detects the backend without creating tables in the other one. On failure the rules are as before.
Result<Applied> apply(const Options& options);
Result<std::string> remove();              // removes our chains and jumps in both backends, whatever flags made them
// Says whether the rules are in place and in order; the error names the first difference.
Result<std::string> verify(const Options& options);

}  // namespace sallyport::rules
