#include "agent/cli/init_flags.h"

#include <grp.h>
#include <pwd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>

#include "agent/cli/udp_policy.h"
#include "agent/istio/scalar.h"
#include "dns/resolv_conf.h"

namespace sallyport::cli {
namespace {

void add_capture_options(CLI::App& app, InitFlags& f) {
  app.add_option("-p,--envoy-port", f.outbound_port, "outbound capture port")
      ->capture_default_str();
  const auto add = [&app](const char* names, std::string& to, const char* environment,
                          const char* help) {
    return app.add_option(names, to, help)->envname(environment);
  };
  add("-z,--inbound-capture-port", f.inbound_port, "INBOUND_CAPTURE_PORT", "inbound capture port")
      ->capture_default_str();
  add("-e,--inbound-tunnel-port", f.tunnel_port, "INBOUND_TUNNEL_PORT",
      "inbound port never captured")
      ->capture_default_str();
  add("-u,--proxy-uid", f.uids, "PROXY_UID", "uids whose traffic is not captured");
  add("-g,--proxy-gid", f.gids, "PROXY_GID", "gids, likewise (default: as --proxy-uid)");
  add("-m,--istio-inbound-interception-mode", f.mode, "ISTIO_INBOUND_INTERCEPTION_MODE",
      "of what arrives: REDIRECT, or TPROXY, which keeps its clients' addresses");
  add("-t,--istio-inbound-tproxy-mark", f.mark, "ISTIO_INBOUND_TPROXY_MARK",
      "mark of TPROXY's packets, decimal")
      ->capture_default_str();
  add("-r,--istio-inbound-tproxy-route-table", f.route_table, "ISTIO_INBOUND_TPROXY_ROUTE_TABLE",
      "route table for that mark")
      ->capture_default_str();
  add("-b,--istio-inbound-ports", f.inbound_ports, "ISTIO_INBOUND_PORTS",
      "inbound ports to capture; * for all");
  add("-d,--istio-local-exclude-ports", f.exclude_inbound_ports, "ISTIO_LOCAL_EXCLUDE_PORTS",
      "inbound ports left alone, with -b '*'");
  add("-i,--istio-service-cidr", f.cidrs, "ISTIO_SERVICE_CIDR",
      "outbound CIDRs to capture; * for all");
  add("-x,--istio-service-exclude-cidr", f.exclude_cidrs, "ISTIO_SERVICE_EXCLUDE_CIDR",
      "outbound CIDRs left alone");
  add("-q,--istio-outbound-ports", f.outbound_ports, "ISTIO_OUTBOUND_PORTS",
      "outbound ports captured outside -i too");
  add("-o,--istio-local-outbound-ports-exclude", f.exclude_outbound_ports,
      "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE", "outbound ports left alone, TCP and UDP");
  add("-c,--istio-exclude-interfaces", f.exclude_interfaces, "ISTIO_EXCLUDE_INTERFACES",
      "interfaces left alone");
  add("-k,--kube-virt-interfaces", f.guest_interfaces, "KUBE_VIRT_INTERFACES",
      "interfaces whose arriving traffic counts as outbound");
  app.add_flag("--drop-invalid", f.drop_invalid, "drop packets that conntrack calls INVALID")
      ->envname("INVALID_DROP");
}

void add_action_options(CLI::App& app, InitFlags& f) {
  auto* dry = app.add_flag("-n,--dry-run", f.dry_run, "only print what an empty pod would get")
                  ->envname("DRY_RUN");
  auto* cleanup =
      app.add_flag("--cleanup-only", f.cleanup_only, "remove the rules, whatever flags made them");
  cleanup->envname("CLEANUP_ONLY")->excludes(dry);
  app.add_flag("--verify", f.verify,
               "change nothing; say whether the rules are those of these flags, then send real "
               "packets each way and name the rule at fault; exit code 126 if so")
      ->excludes(dry)
      ->excludes(cleanup);
  app.add_flag("--skip-rule-apply", f.skip_apply, "change no rule")->envname("SKIP_RULE_APPLY");
  app.add_flag("--run-validation", f.run_validation,
               "then see whether a connection of the proxy's is captured; exit code 126 if not")
      ->envname("RUN_VALIDATION");
  app.add_option("--iptables-probe-port", f.probe_port, "port that is dialled for that")
      ->envname("IPTABLES_PROBE_PORT")
      ->capture_default_str();
  app.add_option("--probe-timeout", f.probe_timeout, "time for that")
      ->envname("PROBE_TIMEOUT")
      ->capture_default_str();
  auto* reconcile =
      app.add_flag("--reconcile", f.reconcile,
                   "make rules that are there those of these flags; else they are told, and stay");
  reconcile->envname("RECONCILE");
  app.add_flag("--force-apply", f.force_apply, "as --reconcile")->envname("FORCE_APPLY");
  app.add_option("--network-namespace", f.network_namespace,
                 "path of the network namespace to work on; else the own one")
      ->envname("NETWORK_NAMESPACE");
  app.add_flag("--cni-mode", f.cni,
               "as a CNI plugin on the node: not with the node's lock of xtables")
      ->envname("CNI_MODE");
  app.add_flag("--host-network", f.host_network,
               "on a machine's own network namespace, too, all of whose traffic is captured then");
  app.add_flag("--redirect-dns", f.redirect_dns,
               "the application's DNS questions to resolv.conf's servers go to the sidecar (15053)")
      ->envname("ISTIO_META_DNS_CAPTURE");
  app.add_flag("--capture-all-dns", f.capture_all_dns,
               "with --redirect-dns: those to any server do")
      ->envname("CAPTURE_ALL_DNS");
  app.add_option("--force-iptables-binary", f.binary,
                 "legacy or nft; else what holds rules already, else nft")
      ->envname("FORCE_IPTABLES_BINARY");
}

// Not in istio-iptables.
void add_own_options(CLI::App& app, InitFlags& f) {
  app.add_option("--udp-policy", f.udp_policy,
                 "of UDP and QUIC, which would go round the sidecar: off, log or enforce; the "
                 "sidecar needs the same")
      ->envname("UDP_POLICY")
      ->capture_default_str();
  app.add_option("--hold-until-proxy-starts", f.hold_time,
                 "how long captured connections wait, from now on, for a sidecar that does not "
                 "listen yet, instead of being refused; 0s: not at all")
      ->envname("HOLD_UNTIL_PROXY_STARTS")
      ->capture_default_str();
}

// Istio's flags that ask for what is not built are refused rather than ignored; those that ask for
// what is done anyway, or belong to such a part, are taken.
void add_other_options(CLI::App& app, InitFlags& f) {
  app.add_flag("--native-nftables", f.native_nftables,
               "the rules by nft, without iptables: tables inet istio-proxy-nat and so on")
      ->envname("NATIVE_NFTABLES");
  app.add_flag("--dual-stack", f.no_effect, "no effect: both families are always looked at");
  app.add_flag("--log_as_json", f.no_effect, "no effect");
  app.add_option(
         "--log_output_level,--log_stacktrace_level,--log_"
         "target,--log_caller",
         f.ignored, "no effect")
      ->take_last();
}

// Whether a second name of a flag is on, in Go's words; CLI11 knows one name a flag.
bool is_set(const char* name) {
  const auto value = from_environment(name);
  return value == "1" || value == "t" || value == "T" || value == "true" || value == "TRUE" ||
         value == "True";
}

// Istio's default: the uid of the proxy's user in this image.
uint32_t default_uid() {
  const auto name = from_environment("ENVOY_USER");
  const passwd* const user = getpwnam(name.empty() ? "istio-proxy" : name.c_str());
  return user != nullptr ? user->pw_uid : 1337;
}

// Collects the first error of many, so that a flag a line is enough below.
class OptionReader {
public:
  template <class T>
  void read(T& to, Result<T> value) {
    if (value) {
      to = std::move(*value);
    } else if (!error_) {
      error_ = value.error();
    }
  }
  void read_port(uint16_t& to, const std::string& text, const char* flag) {
    std::vector<uint16_t> ports;
    read(ports, rules::parse_ports(text, flag));
    if (ports.size() == 1) to = ports.front();
    if (ports.size() != 1)
      fail(std::string(flag) + ": exactly one port is needed, not \"" + text + "\"");
  }
  void fail(std::string reason) {
    if (!error_) error_ = Error{.fault = Fault::protocol, .context = std::move(reason)};
  }
  const std::optional<Error>& error() const { return error_; }

private:
  std::optional<Error> error_;
};

// A group by its name or number.
Result<uint32_t> group_id(const std::string& text, const char* variable) {
  uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec == std::errc() && read.ptr == end && number != UINT32_MAX) return number;
  if (const group* const found = getgrnam(text.c_str())) return found->gr_gid;
  return Error{.fault = Fault::protocol,
               .context = std::string(variable) + ": \"" + text + "\" is no group here"};
}

void read_groups(OptionReader& reader, const char* variable, std::vector<uint32_t>& to) {
  for (const auto& item : rules::split_list(from_environment(variable))) {
    uint32_t id = 0;
    reader.read(id, group_id(item, variable));
    to.push_back(id);
  }
}

void read_owner_groups(OptionReader& reader, rules::Options& options,
                       std::vector<std::string>& notes) {
  const char* const include = "ISTIO_OUTBOUND_OWNER_GROUPS";
  const char* const exclude = "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE";
  const auto included = from_environment(include);
  if (included.empty() || included == "*")
    return read_groups(reader, exclude, options.exclude_owner_groups);
  read_groups(reader, include, options.owner_groups);
  if (!from_environment(exclude).empty())
    notes.push_back(std::string(exclude) + " has no effect: " + include + " names who is captured");
}

void read_tproxy(OptionReader& reader, const InitFlags& f, rules::Options& options) {
  if (f.mode == "TPROXY") options.interception = rules::Interception::tproxy;
  if (f.mode != "" && f.mode != "REDIRECT" && f.mode != "TPROXY")
    reader.fail("--istio-inbound-interception-mode: \"" + f.mode +
                "\" is neither REDIRECT nor TPROXY");
  reader.read(options.tproxy_mark, rules::parse_number(f.mark, "--istio-inbound-tproxy-mark"));
  reader.read(options.tproxy_route_table,
              rules::parse_number(f.route_table, "--istio-inbound-tproxy-route-table"));
}

// A CNI plugin does not see the pod's resolv.conf.
void read_dns(OptionReader& reader, const InitFlags& f, rules::Options& options,
              std::vector<std::string>& notes) {
  if (!f.redirect_dns && !is_set("REDIRECT_DNS")) return;
  rules::DnsCapture dns{.all = f.capture_all_dns || f.cni, .servers = {}};
  if (!dns.all) {
    dns::ResolvConf conf;
    reader.read(conf, dns::read_resolv_conf(f.resolv_conf));
    for (const auto& server : conf.servers) dns.servers.push_back(server.ip());
  }
  if (!dns.all && dns.servers.empty()) {
    return notes.push_back("--redirect-dns has no effect: " + f.resolv_conf +
                           " names no server; --capture-all-dns takes questions to any");
  }
  options.dns = std::move(dns);
}

void read_udp_policy(OptionReader& reader, const InitFlags& f, rules::Options& options) {
  const auto policy = udp_policy_of(f.udp_policy);
  if (!policy)
    return reader.fail("--udp-policy: \"" + f.udp_policy + "\" is none of off, log and enforce");
  if (*policy == istio::UdpPolicy::off) return;
  rules::UdpQueue udp{.fail_open = *policy == istio::UdpPolicy::log, .dns_servers = {}};
  dns::ResolvConf conf;
  reader.read(conf, dns::read_resolv_conf(f.resolv_conf));
  for (const auto& server : conf.servers) udp.dns_servers.push_back(server.ip());
  options.udp = std::move(udp);
}

void read_hold(OptionReader& reader, const InitFlags& f, rules::Options& options) {
  const auto time = istio::duration_value(f.hold_time);
  if (!time || time->count() < 0 || *time > std::chrono::hours(24))
    return reader.fail("--hold-until-proxy-starts: \"" + f.hold_time +
                       "\" is no duration up to a day, such as 5m");
  if (time->count() == 0) return;
  options.hold_until =
      std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now() + *time);
}

void read_backend(OptionReader& reader, const InitFlags& f, rules::Options& options) {
  if (f.binary == "legacy") options.backend = rules::Backend::legacy;
  if (f.binary == "nft") options.backend = rules::Backend::nft;
  if (!f.binary.empty() && !options.backend)
    reader.fail("--force-iptables-binary: \"" + f.binary + "\" is neither legacy nor nft");
  options.native = f.native_nftables;
  if (options.native && options.backend)
    reader.fail("--native-nftables: has no iptables that --force-iptables-binary could choose");
}

}  // namespace

void add_init_options(CLI::App& app, InitFlags& flags) {
  add_capture_options(app, flags);
  add_action_options(app, flags);
  add_own_options(app, flags);
  add_other_options(app, flags);
}

std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

Result<rules::ProbeOptions> to_probe_options(const InitFlags& f) {
  rules::ProbeOptions options;
  OptionReader reader;
  reader.read_port(options.port, f.probe_port, "--iptables-probe-port");
  const auto time = istio::duration_value(f.probe_timeout);
  if (!time) reader.fail("--probe-timeout: \"" + f.probe_timeout + "\" is no duration such as 5s");
  if (reader.error()) return *reader.error();
  options.timeout = std::chrono::ceil<std::chrono::milliseconds>(*time);
  return options;
}

Result<rules::Options> to_options(const InitFlags& f, std::vector<std::string>& notes) {
  rules::Options options;
  OptionReader reader;
  read_tproxy(reader, f, options);
  read_owner_groups(reader, options, notes);
  read_dns(reader, f, options, notes);
  read_udp_policy(reader, f, options);
  read_hold(reader, f, options);
  reader.read_port(options.outbound_port, f.outbound_port, "--envoy-port");
  reader.read_port(options.inbound_port, f.inbound_port, "--inbound-capture-port");
  reader.read_port(options.tunnel_port, f.tunnel_port, "--inbound-tunnel-port");
  reader.read(options.proxy_uids, rules::parse_ids(f.uids, "--proxy-uid"));
  if (options.proxy_uids.empty()) options.proxy_uids = {default_uid()};
  reader.read(options.proxy_gids, rules::parse_ids(f.gids, "--proxy-gid"));
  if (options.proxy_gids.empty()) options.proxy_gids = options.proxy_uids;
  options.inbound_ports = f.inbound_ports;
  reader.read(options.exclude_inbound_ports,
              rules::parse_ports(f.exclude_inbound_ports, "--istio-local-exclude-ports"));
  options.outbound_cidrs = f.cidrs;
  reader.read(options.exclude_outbound_cidrs,
              rules::parse_cidrs(f.exclude_cidrs, "--istio-service-exclude-cidr"));
  reader.read(options.outbound_ports,
              rules::parse_ports(f.outbound_ports, "--istio-outbound-ports"));
  reader.read(options.exclude_outbound_ports,
              rules::parse_ports(f.exclude_outbound_ports, "--istio-local-outbound-ports-exclude"));
  options.exclude_interfaces = rules::split_list(f.exclude_interfaces);
  options.guest_interfaces = rules::split_list(f.guest_interfaces);
  options.drop_invalid = f.drop_invalid || is_set("DROP_INVALID");
  std::vector<Cidr> loopback;
  const char* const loopback_name = "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR";
  reader.read(loopback, rules::parse_cidrs(from_environment(loopback_name), loopback_name));
  if (loopback.size() > 1) reader.fail(std::string(loopback_name) + ": one CIDR is needed");
  if (loopback.size() == 1) options.loopback_v4 = loopback.front();
  read_backend(reader, f, options);
  if (reader.error()) return *reader.error();
  return options;
}

}  // namespace sallyport::cli
