// `sallyport init`'s flags and environment, which are istio-iptables', and what they mean as
// options of the rules.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "iptables/probe.h"

namespace CLI {
class App;
}

namespace sallyport::cli {

struct InitFlags {
  std::string outbound_port = "15001", inbound_port = "15006", tunnel_port = "15008", uids, gids,
              mode, mark = "1337", route_table = "133";
  std::string inbound_ports, exclude_inbound_ports, cidrs, exclude_cidrs, outbound_ports,
      exclude_outbound_ports;
  std::string exclude_interfaces, guest_interfaces, binary, network_namespace, ignored;
  bool drop_invalid = false, dry_run = false, cleanup_only = false, verify = false;
  bool reconcile = false, force_apply = false, skip_apply = false, run_validation = false;
  std::string probe_port = "15002", probe_timeout = "5s";
  std::string resolv_conf = "/etc/resolv.conf";
  std::string udp_policy = "off", hold_time = "5m";
  bool redirect_dns = false, capture_all_dns = false, native_nftables = false;
  bool cni = false, host_network = false;
  bool no_effect = false;
};

void add_init_options(CLI::App& app, InitFlags& flags);

std::string from_environment(const char* name);  // "" for what is not set

// Of --run-validation. Errors name the flag.
Result<rules::ProbeOptions> to_probe_options(const InitFlags& flags);

// `notes` gets what was given and has no effect. Errors name the flag or the variable.
Result<rules::Options> to_options(const InitFlags& flags, std::vector<std::string>& notes);

}  // namespace sallyport::cli
