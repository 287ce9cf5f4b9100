#include "agent/cli/init.h"

#include <pwd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "agent/cli/command_line.h"
#include "iptables/rules.h"

namespace sallyport::cli {
namespace {

constexpr int exit_init_failed = 1;
// What istio-validation returns when the rules are not there: the CNI's repair controller waits for
// it.
constexpr int exit_not_verified = 126;

constexpr const char* init_footer = R"(
Examples:
    sallyport init -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -b '*' -d 15090,15021,15020
    sallyport init -u 1337 -i '*' --dry-run
    sallyport init --cleanup-only

CIDRs and ports are lists with commas. A flag left out is taken from the environment, by the name
shown at it. Also from there:
  ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR  the application's own traffic (default 127.0.0.1/32)
  ENVOY_USER         user whose uid --proxy-uid defaults to (default istio-proxy, else uid 1337)
  DRY_RUN_FILE_PATH  --dry-run writes there too

IPv6 rules are made wherever the kernel has IPv6 on. Applying is one commit a family, and nothing
changes when the rules are there already; rules of others stay. Needs iptables, and root with
NET_ADMIN and NET_RAW (--dry-run needs neither).

Exit codes:
  0    done, or there was nothing to do
  1    could not be done, the rules are as they were; standard error has the reason and a hint:
       a missing capability, program or kernel module, or the lock of xtables held by another
  2    wrong command line; standard error names the flag
  126  --verify: the rules are not in place; standard error has the first difference
)";

struct InitFlags {
  std::string outbound_port = "15001", inbound_port = "15006", tunnel_port = "15008", uids, gids,
              mode;
  std::string inbound_ports, exclude_inbound_ports, cidrs, exclude_cidrs, outbound_ports,
      exclude_outbound_ports;
  std::string exclude_interfaces, guest_interfaces, binary, network_namespace, ignored;
  bool drop_invalid = false, dry_run = false, cleanup_only = false, verify = false;
  bool redirect_dns = false, native_nftables = false, run_validation = false, skip_apply = false,
       cni = false;
  bool no_effect = false;
};

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
      "REDIRECT, the only one so far");
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
               "change nothing; say whether the rules are those of these flags")
      ->excludes(dry)
      ->excludes(cleanup);
  app.add_option("--force-iptables-binary", f.binary,
                 "legacy or nft; else what holds rules already, else nft")
      ->envname("FORCE_IPTABLES_BINARY");
}

// Istio's flags that ask for what is not built are refused rather than ignored; those that ask for
// what is done anyway, or belong to such a part, are taken.
void add_other_options(CLI::App& app, InitFlags& f) {
  app.add_flag("--redirect-dns", f.redirect_dns, "not supported yet")
      ->envname("ISTIO_META_DNS_CAPTURE");
  app.add_flag("--native-nftables", f.native_nftables, "not supported")->envname("NATIVE_NFTABLES");
  app.add_flag("--run-validation", f.run_validation, "not supported; see --verify")
      ->envname("RUN_VALIDATION");
  app.add_flag("--skip-rule-apply", f.skip_apply, "not supported; see --verify")
      ->envname("SKIP_RULE_APPLY");
  app.add_flag("--cni-mode", f.cni, "not supported")->envname("CNI_MODE");
  app.add_option("--network-namespace", f.network_namespace, "not supported; run inside of it")
      ->envname("NETWORK_NAMESPACE");
  app.add_flag("--dual-stack", f.no_effect, "no effect: both families are always looked at");
  app.add_flag("--reconcile,--force-apply", f.no_effect,
               "no effect: the rules are always made those of the flags");
  app.add_flag("--capture-all-dns", f.no_effect, "no effect without --redirect-dns");
  app.add_flag("--log_as_json", f.no_effect, "no effect");
  app.add_option(
         "-t,--istio-inbound-tproxy-mark,-r,--istio-inbound-tproxy-route-table,--iptables-probe-"
         "port,"
         "--probe-timeout,--log_output_level,--log_stacktrace_level,--log_target,--log_caller",
         f.ignored, "no effect")
      ->take_last();
}

std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Whether a second name of a flag is on, in Go's words; CLI11 knows one name a flag.
bool is_set(const char* name) {
  const auto value = from_environment(name);
  return value == "1" || value == "t" || value == "T" || value == "true" || value == "TRUE" ||
         value == "True";
}

std::optional<std::string> unsupported(const InitFlags& f) {
  if (f.mode != "" && f.mode != "REDIRECT") {
    return "--istio-inbound-interception-mode: \"" + f.mode +
           "\" is not supported, only REDIRECT is";
  }
  const std::pair<bool, const char*> refused[] = {
      {f.redirect_dns, "--redirect-dns (ISTIO_META_DNS_CAPTURE): DNS capture"},
      {f.native_nftables, "--native-nftables: rules without iptables"},
      {f.run_validation || f.skip_apply,
       "--run-validation, --skip-rule-apply: use --verify instead; this"},
      {f.cni || !f.network_namespace.empty(),
       "--cni-mode, --network-namespace: another network namespace than the own one"}};
  for (const auto& [given, what] : refused) {
    if (given) return std::string(what) + " is not supported";
  }
  if (is_set("REDIRECT_DNS")) return "REDIRECT_DNS: DNS capture is not supported";
  const auto groups = from_environment("ISTIO_OUTBOUND_OWNER_GROUPS");
  if ((!groups.empty() && groups != "*") ||
      !from_environment("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE").empty()) {
    return "ISTIO_OUTBOUND_OWNER_GROUPS, ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: capture by group is "
           "not supported";
  }
  return {};
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

Result<rules::Options> to_options(const InitFlags& f) {
  rules::Options options;
  OptionReader reader;
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
  if (f.binary == "legacy") options.backend = rules::Backend::legacy;
  if (f.binary == "nft") options.backend = rules::Backend::nft;
  if (!f.binary.empty() && !options.backend) {
    reader.fail("--force-iptables-binary: \"" + f.binary + "\" is neither legacy nor nft");
  }
  if (reader.error()) return *reader.error();
  return options;
}

int finish(const Result<std::string>& done, int exit_code) {
  if (done) {
    std::fputs(done->c_str(), stdout);
    return 0;
  }
  std::fprintf(stderr, "sallyport init: %s\n", done.error().context.c_str());
  return exit_code;
}

int print_plan(const rules::Plan& plan) {
  const std::string text = "# IPv4\n" + plan.restore_v4 + "# IPv6\n" + plan.restore_v6;
  std::fputs(text.c_str(), stdout);
  const auto path = from_environment("DRY_RUN_FILE_PATH");
  if (path.empty()) return 0;
  std::ofstream file(path);
  if (file << text << std::flush) return 0;
  std::fprintf(stderr, "sallyport init: DRY_RUN_FILE_PATH: %s can't be written\n", path.c_str());
  return exit_init_failed;
}

int run_with(const CLI::App& app, const InitFlags& flags) {
  if (flags.cleanup_only) return finish(rules::remove(), exit_init_failed);
  if (const auto reason = unsupported(flags)) return wrong_usage(app, *reason);
  const auto options = to_options(flags);
  if (!options) return wrong_usage(app, options.error().context);
  const auto plan = rules::plan(*options);
  if (!plan) return wrong_usage(app, plan.error().context);
  if (flags.dry_run) return print_plan(*plan);
  if (flags.verify) return finish(rules::verify(*options), exit_not_verified);
  const auto applied = rules::apply(*options);
  if (!applied) return finish(applied.error(), exit_init_failed);
  return finish(applied->report, exit_init_failed);
}

}  // namespace

int run_init(int argc, char** argv) {
  CLI::App app(
      "Redirects a pod's connections to its sidecar, with Istio's rules and istio-iptables' flags.",
      "sallyport init");
  InitFlags flags;
  add_capture_options(app, flags);
  add_action_options(app, flags);
  add_other_options(app, flags);
  app.footer(init_footer);
  if (const auto code = parse(app, argc, argv)) return *code;
  return run_with(app, flags);
}

}  // namespace sallyport::cli
