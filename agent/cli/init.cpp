#include "agent/cli/init.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "agent/cli/command_line.h"
#include "agent/cli/init_flags.h"
#include "agent/cli/to_the_end.h"
#include "iptables/verify/verify_probes.h"

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
  ISTIO_OUTBOUND_OWNER_GROUPS        groups whose outbound traffic is captured, names or numbers,
                                     at most 64 (default *), but for
  ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE  these
  ENVOY_USER         user whose uid --proxy-uid defaults to (default istio-proxy, else uid 1337)
  DRY_RUN_FILE_PATH  --dry-run writes there too

Captured connections wait until the sidecar listens, and are refused once --hold-until-proxy-starts
is over; where the kernel can't do that it is said, and they are refused at once.

With --native-nftables the rules are nft's own, in one transaction; what is there of the other kind
goes behind it. IPv6 rules are made wherever the kernel has IPv6 on. Applying is one commit a table,
undone in both families when one fails, and goes on to its end when this program is killed (as PID 1
it can't: the next run completes it). Nothing changes when the rules are there already; others of
ours are told and stay, or are mended with --reconcile, in no moment of which traffic is let
through; rules of others stay. Runs wait for each other. Needs iptables (or nft), and root with
NET_ADMIN and NET_RAW (--dry-run needs neither).

Exit codes:
  0    done, or there was nothing to do
  1    could not be done, the rules are as they were; standard error has the reason and a hint:
       a missing capability, program or kernel module, the lock of xtables held by another, other
       rules of ours without --reconcile, or the network namespace of a host
  2    wrong command line; standard error names the flag
  126  --verify: the rules are not in place, standard error has the first difference; or a probe
       went elsewhere than the flags say, its line names the rule at fault.
       --run-validation: a connection was not captured
)";

int finish(const Result<std::string>& done, int exit_code) {
  if (done) {
    std::fputs(done->c_str(), stdout);
    return 0;
  }
  std::fprintf(stderr, "sallyport init: %s\n", done.error().context.c_str());
  return exit_code;
}

int print_plan(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  const auto path = from_environment("DRY_RUN_FILE_PATH");
  if (path.empty()) return 0;
  std::ofstream file(path);
  if (file << text << std::flush) return 0;
  std::fprintf(stderr, "sallyport init: DRY_RUN_FILE_PATH: %s can't be written\n", path.c_str());
  return exit_init_failed;
}

// Legacy tables are the namespace's own, and runs on it wait for each other by its lock: with the
// node's lock of xtables pods would wait for each other. The file is in memory and stays open.
void use_own_lock() {
  static const int lock = memfd_create("xtables.lock", MFD_CLOEXEC);
  if (lock < 0) return;  // the node's, then
  const auto path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(lock);
  setenv("XTABLES_LOCKFILE", path.c_str(), 0);
}

// Where the rules are to be: --network-namespace, else here.
Result<void> enter_namespace(const InitFlags& flags) {
  const auto& path = flags.network_namespace;
  if (path.empty()) return {};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool entered = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
  const int number = errno;
  if (fd >= 0) close(fd);
  if (!entered)
    return Error{.context = "--network-namespace: " + path + ": " + std::strerror(number)};
  if (flags.cni) use_own_lock();
  return {};
}

Result<std::string> install(const InitFlags& flags, const rules::Options& options) {
  if (rules::is_host_network() && !flags.host_network)
    return Error{.fault = Fault::denied,
                 .context =
                     "this is the machine's own network namespace (a pod with hostNetwork?): "
                     "the rules would take all of its traffic; --host-network says that "
                     "this is meant. A pod with hostNetwork can have no sidecar"};
  const bool mend = flags.reconcile || flags.force_apply;
  const auto applied = rules::apply(options, mend ? rules::OnDrift::mend : rules::OnDrift::refuse);
  if (!applied) return applied.error();
  return applied->report;
}

int change(const InitFlags& flags, const std::function<Result<std::string>()>& work) {
  return run_to_the_end([&] {
    if (const auto entered = enter_namespace(flags); !entered)
      return finish(entered.error(), exit_init_failed);
    return finish(work(), exit_init_failed);
  });
}

Result<std::string> verdict_of(const rules::ProbeReport& probes) {
  if (probes.astray > 0)
    return Error{.context = std::to_string(probes.astray) + " of " + std::to_string(probes.sent) +
                            " probes went elsewhere than the flags say"};
  const auto sent = std::to_string(probes.sent);
  return sent + " of " + sent + " probes went where the flags say\n";
}

int verify_here(const rules::Options& options) {
  const auto rules = rules::verify(options);
  if (const int code = finish(rules, exit_not_verified); code != 0) return code;
  const auto probes = rules::send_probes(options);
  if (!probes) return finish(probes.error(), exit_not_verified);
  std::fputs(probes->text.c_str(), stdout);
  return finish(verdict_of(*probes), exit_not_verified);
}

int verify(const InitFlags& flags, const rules::Options& options) {
  return run_to_the_end([&] {
    const auto entered = enter_namespace(flags);
    return entered ? verify_here(options) : finish(entered.error(), exit_not_verified);
  });
}

// istio-validation: run as the proxy's user, without any capability, where a CNI plugin makes the
// rules.
int validate(const InitFlags& flags, const rules::Options& options,
             const rules::ProbeOptions& probe) {
  auto done = enter_namespace(flags);
  if (done) done = rules::probe_capture(options, probe);
  if (done) return finish(std::string("a connection of the proxy's was captured\n"), 0);
  return finish(while_doing("iptables validation failed; workload is not ready", done.error()),
                exit_not_verified);
}

int run_with(const CLI::App& app, const InitFlags& flags) {
  if (flags.cni && flags.network_namespace.empty())
    return wrong_usage(app, "--cni-mode: needs --network-namespace");
  if (flags.cleanup_only) return change(flags, rules::remove);
  std::vector<std::string> notes;
  const auto options = to_options(flags, notes);
  if (!options) return wrong_usage(app, options.error().context);
  const auto plan = rules::plan_text(*options);
  if (!plan) return wrong_usage(app, plan.error().context);
  for (const auto& note : notes) std::fprintf(stderr, "sallyport init: %s\n", note.c_str());
  if (flags.dry_run) return print_plan(*plan);
  if (flags.verify) return verify(flags, *options);
  const auto probe = to_probe_options(flags);
  if (!probe) return wrong_usage(app, probe.error().context);
  const int changed =
      flags.skip_apply ? 0 : change(flags, [&] { return install(flags, *options); });
  if (changed != 0 || !flags.run_validation) return changed;
  if (const auto& own = options->loopback_v4; own && own->contains(rules::probed_v4()))
    return wrong_usage(app, "--run-validation: dials " + rules::probed_v4().text() +
                                ", which ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR lets pass");
  return validate(flags, *options, *probe);
}

}  // namespace

int run_init(int argc, char** argv) {
  CLI::App app(
      "Redirects a pod's connections to its sidecar, with Istio's rules and istio-iptables' flags.",
      "sallyport init");
  InitFlags flags;
  add_init_options(app, flags);
  app.footer(init_footer);
  if (const auto code = parse(app, argc, argv)) return *code;
  return run_with(app, flags);
}

}  // namespace sallyport::cli
