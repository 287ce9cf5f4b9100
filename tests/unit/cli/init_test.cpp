// `sallyport init`: istio-iptables' flags and environment, what is printed where, and the exit
// codes.
#include "agent/cli/init.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <regex>

#include "tests/support/iptables_namespace.h"

namespace sallyport::cli {
namespace {

struct Outcome {
  int exit_code;
  std::string output, errors;
};

using Arguments = std::vector<std::string>;

Outcome run_command(Arguments arguments) {
  arguments.insert(arguments.begin(), "init");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_init(static_cast<int>(arguments.size()), argv.data());
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

// Sets a variable for the time of one test.
class Environment {
public:
  Environment(std::string name, const std::string& value) : name_(std::move(name)) {
    setenv(name_.c_str(), value.c_str(), 1);
  }
  ~Environment() { unsetenv(name_.c_str()); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

private:
  std::string name_;
};

// Until when connections are held is told by the clock.
std::string timeless(const std::string& text) {
  static const std::regex time("--datestop [^ ]+");
  return std::regex_replace(text, time, "--datestop THEN");
}

rules::Options captured(void (*set)(rules::Options&) = [](rules::Options&) {}) {
  rules::Options options;
  options.hold_until = std::chrono::sys_seconds();
  set(options);
  return options;
}

std::string dry_run_text(const rules::Options& options) {
  const auto plan = rules::plan(options);
  return timeless("# IPv4\n" + plan->restore_v4 + "# IPv6\n" + plan->restore_v6);
}

using Changes = void (*)(rules::Options&);

struct FlagCase {
  Arguments short_form, long_form;
  std::pair<std::string, std::string> environment;  // name and value; no name: there is none
  Changes expected;
};

const FlagCase flag_cases[] = {
    {{"-p", "16001"}, {"--envoy-port", "16001"}, {}, [](auto& o) { o.outbound_port = 16001; }},
    {{"-z", "16006"},
     {"--inbound-capture-port=16006"},
     {"INBOUND_CAPTURE_PORT", "16006"},
     [](auto& o) { o.inbound_port = 16006; }},
    {{"-e", "16008"},
     {"--inbound-tunnel-port", "16008"},
     {"INBOUND_TUNNEL_PORT", "16008"},
     [](auto& o) { o.tunnel_port = 16008; }},
    {{"-u", "1,2"},
     {"--proxy-uid", "1,2"},
     {"PROXY_UID", "1,2"},
     [](auto& o) {
       o.proxy_uids = o.proxy_gids = {1, 2};
     }},
    {{"-g", "3"}, {"--proxy-gid", "3"}, {"PROXY_GID", "3"}, [](auto& o) { o.proxy_gids = {3}; }},
    {{"-m", "REDIRECT"},
     {"--istio-inbound-interception-mode", "REDIRECT"},
     {"ISTIO_INBOUND_INTERCEPTION_MODE", "REDIRECT"},
     [](auto&) {}},
    {{"-b", "80,443"},
     {"--istio-inbound-ports", "80,443"},
     {"ISTIO_INBOUND_PORTS", "80,443"},
     [](auto& o) { o.inbound_ports = "80,443"; }},
    {{"-b", "*", "-d", "15090"},
     {"--istio-inbound-ports=*", "--istio-local-exclude-ports", "15090"},
     {},
     [](auto& o) {
       o.inbound_ports = "*";
       o.exclude_inbound_ports = {15090};
     }},
    {{"-i", "*"},
     {"--istio-service-cidr", "*"},
     {"ISTIO_SERVICE_CIDR", "*"},
     [](auto& o) { o.outbound_cidrs = "*"; }},
    {{"-x", "10.0.0.0/8"},
     {"--istio-service-exclude-cidr", "10.0.0.0/8"},
     {"ISTIO_SERVICE_EXCLUDE_CIDR", "10.0.0.0/8"},
     [](auto& o) { o.exclude_outbound_cidrs = {*Cidr::parse("10.0.0.0/8")}; }},
    {{"-q", "80"},
     {"--istio-outbound-ports", "80"},
     {"ISTIO_OUTBOUND_PORTS", "80"},
     [](auto& o) { o.outbound_ports = {80}; }},
    {{"-o", "22"},
     {"--istio-local-outbound-ports-exclude", "22"},
     {"ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE", "22"},
     [](auto& o) { o.exclude_outbound_ports = {22}; }},
    {{"-c", "net1,net2"},
     {"--istio-exclude-interfaces", "net1,net2"},
     {"ISTIO_EXCLUDE_INTERFACES", "net1,net2"},
     [](auto& o) {
       o.exclude_interfaces = {"net1", "net2"};
     }},
    {{"-k", "virt0"},
     {"--kube-virt-interfaces", "virt0"},
     {"KUBE_VIRT_INTERFACES", "virt0"},
     [](auto& o) { o.guest_interfaces = {"virt0"}; }},
    {{"--drop-invalid"},
     {"--drop-invalid=true"},
     {"INVALID_DROP", "true"},
     [](auto& o) { o.drop_invalid = true; }},
    {{"--drop-invalid"}, {}, {"DROP_INVALID", "1"}, [](auto& o) { o.drop_invalid = true; }},
    {{},
     {},
     {"ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.0/8"},
     [](auto& o) { o.loopback_v4 = Cidr::parse("127.0.0.0/8"); }},
    {{"--redirect-dns", "--capture-all-dns"},
     {"--redirect-dns=true", "--capture-all-dns=true"},
     {},
     [](auto& o) { o.dns = rules::DnsCapture{.all = true, .servers = {}}; }},
    {{"-m", "TPROXY", "-t", "1337"},
     {"--istio-inbound-interception-mode", "TPROXY", "--istio-inbound-tproxy-mark", "1337"},
     {},
     [](auto& o) { o.interception = rules::Interception::tproxy; }},
    {{"-m", "TPROXY"},
     {},
     {"ISTIO_INBOUND_INTERCEPTION_MODE", "TPROXY"},
     [](auto& o) { o.interception = rules::Interception::tproxy; }},
    {{},
     {},
     {"ISTIO_OUTBOUND_OWNER_GROUPS", "7,root"},
     [](auto& o) {
       o.owner_groups = {7, 0};
     }},
    {{},
     {},
     {"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "202"},
     [](auto& o) { o.exclude_owner_groups = {202}; }},
    {{},
     {"--hold-until-proxy-starts", "0s"},
     {"HOLD_UNTIL_PROXY_STARTS", "0s"},
     [](auto& o) { o.hold_until.reset(); }},
    // Without effect on the plan.
    {{"-t", "7", "-r", "9"},
     {"--dual-stack", "--reconcile", "--force-apply", "--log_output_level=default:info"},
     {"ISTIO_DUAL_STACK", "true"},
     [](auto&) {}},
};

TEST(Init, EveryFlagIsTakenShortLongAndFromTheEnvironment) {
  for (const auto& c : flag_cases) {
    const std::string expected = dry_run_text(captured(c.expected));
    for (Arguments arguments : {c.short_form, c.long_form}) {
      if (arguments.empty()) continue;
      arguments.push_back("--dry-run");
      const auto outcome = run_command(arguments);
      EXPECT_EQ(timeless(outcome.output), expected) << arguments.front() << " " << outcome.errors;
    }
    if (c.environment.first.empty()) continue;
    const Environment environment(c.environment.first, c.environment.second);
    EXPECT_EQ(timeless(run_command({"-n"}).output), expected) << c.environment.first;
  }
}

TEST(Init, TakesTheArgumentsOfIstiosInjectorWithTheirEmptyOnes) {
  const auto outcome =
      run_command({"-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x",
                   "", "-b", "*", "-d", "15090,15021,15020", "-q", "", "-n"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.errors, "");
  EXPECT_EQ(timeless(outcome.output), dry_run_text(captured([](auto& o) {
              o.outbound_cidrs = o.inbound_ports = "*";
              o.exclude_inbound_ports = {15090, 15021, 15020};
            })));
}

TEST(Init, TheCommandLineWinsOverTheEnvironment) {
  const Environment ports("ISTIO_INBOUND_PORTS", "80"), dry_run("DRY_RUN", "true");
  EXPECT_EQ(timeless(run_command({"-b", "81"}).output),
            dry_run_text(captured([](auto& o) { o.inbound_ports = "81"; })));
}

TEST(Init, TheProxysUserNamesItsUid) {
  const Environment environment("ENVOY_USER", "nobody");
  EXPECT_EQ(timeless(run_command({"-n"}).output),
            dry_run_text(captured([](auto& o) { o.proxy_uids = o.proxy_gids = {65534}; })));
}

TEST(Init, DryRunWritesTheFileThatIsAskedForAndNeedsNoCapability) {
  char name[] = "/tmp/sallyport-init-XXXXXX";
  const int fd = mkstemp(name);
  ASSERT_GE(fd, 0);
  close(fd);
  {
    const Environment environment("DRY_RUN_FILE_PATH", name);
    const auto outcome = run_command({"-n"});
    EXPECT_EQ(outcome.exit_code, 0);
    std::ifstream file(name);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), outcome.output);
  }
  std::filesystem::remove(name);
  const Environment environment("DRY_RUN_FILE_PATH", "/nonexistent/file");
  const auto outcome = run_command({"-n"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.errors,
            "sallyport init: DRY_RUN_FILE_PATH: /nonexistent/file can't be written\n");
}

struct WrongCase {
  Arguments arguments;
  const char* told;
};

const WrongCase wrong_cases[] = {
    {{"--no-such-flag"}, "--no-such-flag"},
    {{"-p"}, "--envoy-port"},
    {{"-p", ""}, "--envoy-port: exactly one port"},
    {{"-p", "http"}, "--envoy-port: \"http\""},
    {{"-z", "1,2"}, "--inbound-capture-port: exactly one port"},
    {{"-e", "65536"}, "--inbound-tunnel-port: \"65536\""},
    {{"-u", "root"}, "--proxy-uid: \"root\""},
    {{"-g", "-1"}, "--proxy-gid"},
    {{"-m", "tproxy"}, "--istio-inbound-interception-mode: \"tproxy\""},
    {{"-m", "TPROXY", "-t", "0"},
     "--istio-inbound-tproxy-mark: 0 is the mark of all other packets"},
    {{"-m", "TPROXY", "-t", "0x539"}, "--istio-inbound-tproxy-mark: \"0x539\""},
    {{"-m", "TPROXY", "-r", "main"}, "--istio-inbound-tproxy-route-table: \"main\""},
    {{"-m", "TPROXY", "-r", "255"}, "--istio-inbound-tproxy-route-table: 255"},
    {{"--cni-mode"}, "--cni-mode: needs --network-namespace"},
    {{"-b", "80,http"}, "--istio-inbound-ports: \"http\""},
    {{"-d", "80:90"}, "--istio-local-exclude-ports: \"80:90\""},
    {{"-i", "10.0.0.1"}, "--istio-service-cidr: \"10.0.0.1\""},
    {{"-x", "*"}, "--istio-service-exclude-cidr: \"*\""},
    {{"-q", "*"}, "--istio-outbound-ports: \"*\""},
    {{"-o", "0"}, "--istio-local-outbound-ports-exclude: \"0\""},
    {{"-c", "a b"}, "--istio-exclude-interfaces: \"a b\""},
    {{"-k", "+"}, "--kube-virt-interfaces: \"+\""},
    {{"--force-iptables-binary", "nftables"}, "--force-iptables-binary: \"nftables\""},
    {{"--native-nftables", "--force-iptables-binary", "nft"}, "--native-nftables"},
    {{"--udp-policy", "on"}, "--udp-policy: \"on\" is none of off, log and enforce"},
    {{"--hold-until-proxy-starts", "5"}, "--hold-until-proxy-starts: \"5\""},
    {{"--hold-until-proxy-starts", "25h"}, "--hold-until-proxy-starts: \"25h\""},
    {{"--run-validation", "--probe-timeout", "5"}, "--probe-timeout: \"5\""},
    {{"--run-validation", "--iptables-probe-port", "x"}, "--iptables-probe-port: \"x\""},
    {{"--dry-run", "--verify"}, "--verify"},
    {{"--cleanup-only", "--verify"}, "--verify"},
};

TEST(Init, AWrongFlagEndsWithTwoAndIsNamed) {
  for (const auto& c : wrong_cases) {
    const auto outcome = run_command(c.arguments);
    EXPECT_EQ(outcome.exit_code, 2) << c.told;
    EXPECT_NE(outcome.errors.find(c.told), std::string::npos)
        << c.told << "\nis not in: " << outcome.errors;
    EXPECT_EQ(outcome.output, "") << c.told;
  }
}

TEST(Init, WhatIsWrongOrNotSupportedIsNotIgnoredInTheEnvironmentEither) {
  for (const auto& [name, value] : {std::pair{"ISTIO_OUTBOUND_OWNER_GROUPS", "no-such-group"},
                                    {"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "no-such-group"},
                                    {"ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8"}}) {
    const Environment environment(name, value);
    const auto outcome = run_command({"-n"});
    EXPECT_EQ(outcome.exit_code, 2) << name;
    EXPECT_NE(outcome.errors.find(name), std::string::npos) << outcome.errors;
  }
}

TEST(Init, HelpTellsFlagsEnvironmentAndExitCodes) {
  const auto outcome = run_command({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* text : {"--istio-service-cidr", "ISTIO_SERVICE_CIDR", "--verify",
                           "--cleanup-only", "Exit codes", "126"}) {
    EXPECT_NE(outcome.output.find(text), std::string::npos) << text;
  }
}

class InitInNamespace : public rules::InNamespace {};

TEST_F(InitInNamespace, InstallsVerifiesFindsDamageAndRemoves) {
  const Arguments flags = {"-u", "1337", "-i", "*", "-b", "*"};
  Arguments verify = flags;
  verify.push_back("--verify");
  EXPECT_EQ(run_command(verify).exit_code, 126);
  const auto first = run_command(flags);
  EXPECT_EQ(first.exit_code, 0) << first.errors;
  EXPECT_NE(first.output.find("IPv4 (nft): 18 rules, set\n"), std::string::npos) << first.output;
  EXPECT_NE(run_command(flags).output.find("IPv4 (nft): 18 rules, unchanged\n"), std::string::npos);
  EXPECT_EQ(run_command(verify).exit_code, 0);
  rules::run("iptables-nft -t nat -D OUTPUT -j ISTIO_OUTPUT");
  const auto damaged = run_command(verify);
  EXPECT_EQ(damaged.exit_code, 126);
  EXPECT_EQ(
      damaged.errors,
      "sallyport init: IPv4: nat OUTPUT, of our rules there: rule 1 is missing: -j ISTIO_OUTPUT\n");
  // Flags that the rules were made with do not matter.
  const Environment environment("NATIVE_NFTABLES", "true");
  const auto removed = run_command({"--cleanup-only"});
  EXPECT_EQ(removed.exit_code, 0) << removed.errors;
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos);
}

TEST_F(InitInNamespace, NativeRulesHaveTheSameLife) {
  const Arguments flags = {"-u", "1337", "-i", "*", "-b", "*", "--native-nftables"};
  const auto with = [&](const std::string& flag) {
    Arguments more = flags;
    more.push_back(flag);
    return run_command(more);
  };
  const auto dry = with("--dry-run");
  EXPECT_NE(dry.output.find("add rule inet istio-proxy-nat istio-redirect meta l4proto tcp counter "
                            "redirect to :15001\n"),
            std::string::npos)
      << dry.output;
  EXPECT_EQ(rules::run("nft list ruleset"), "") << "a dry run makes none";
  const auto first = run_command(flags);
  EXPECT_EQ(first.exit_code, 0) << first.errors;
  EXPECT_TRUE(first.output.starts_with("nftables: ")) << first.output;
  EXPECT_NE(run_command(flags).output.find(" rules, unchanged\n"), std::string::npos);
  EXPECT_EQ(with("--verify").exit_code, 0);
  rules::run("nft flush chain inet istio-proxy-nat output");
  EXPECT_EQ(with("--verify").exit_code, 126);
  EXPECT_EQ(run_command(flags).exit_code, 1) << "drift";
  EXPECT_EQ(with("--reconcile").exit_code, 0);
  const auto removed = run_command({"--cleanup-only"});
  EXPECT_EQ(removed.exit_code, 0) << removed.errors;
  EXPECT_TRUE(removed.output.starts_with("nftables: removed\n")) << removed.output;
  EXPECT_EQ(rules::run("nft list ruleset").find("istio"), std::string::npos);
}

// Rules as they ought to be, and one of somebody else's before them.
TEST_F(InitInNamespace, VerifySendsProbesAndNamesTheRuleAtFault) {
  add_addresses();
  rules::run("ip link set test1 up && ip route add default dev test0");
  const Arguments flags = {"-u", "1337", "-i", "*", "-b", "*"};
  Arguments verify = flags;
  verify.push_back("--verify");
  ASSERT_EQ(run_command(flags).exit_code, 0);
  const auto right = run_command(verify);
  EXPECT_EQ(right.exit_code, 0) << right.output << right.errors;
  EXPECT_NE(right.output.find("ok    IPv4 TCP in (-b *): 198.18.0.1:15002 is led to 15006\n"),
            std::string::npos)
      << right.output;
  EXPECT_NE(right.output.find(" probes went where the flags say\n"), std::string::npos);
  rules::run("iptables-nft -t nat -I OUTPUT 1 -p tcp -j ACCEPT");
  const auto astray = run_command(verify);
  EXPECT_EQ(astray.exit_code, 126);
  EXPECT_NE(astray.output.find("; nat OUTPUT rule 1: -p tcp -j ACCEPT\n"), std::string::npos)
      << astray.output;
  EXPECT_NE(astray.errors.find(" probes went elsewhere than the flags say"), std::string::npos)
      << astray.errors;
}

TEST_F(InitInNamespace, DriftIsToldAndStaysUntilItIsReconciled) {
  const Arguments flags = {"-u", "1337", "-i", "*", "-b", "*"};
  ASSERT_EQ(run_command(flags).exit_code, 0);
  rules::run("iptables-nft -t nat -I ISTIO_INBOUND 1 -j RETURN");
  const auto before = all_rules();
  const auto told = run_command(flags);
  EXPECT_EQ(told.exit_code, 1);
  EXPECT_EQ(told.errors,
            "sallyport init: IPv4: nat ISTIO_INBOUND: rule 1 does not belong there: -j RETURN. The "
            "rules that are there are not those of these flags, and stay as they are; --reconcile "
            "makes them so\n");
  EXPECT_EQ(all_rules(), before);
  Arguments mend = flags;
  mend.push_back("--reconcile");
  EXPECT_EQ(run_command(mend).exit_code, 0);
  EXPECT_EQ(run_command(flags).exit_code, 0);
}

TEST_F(InitInNamespace, OtherFlagsThanBeforeAreDriftInEitherFamily) {
  ASSERT_EQ(run_command({"-i", "*", "-x", "2001:db8::/32"}).exit_code, 0);
  const auto told = run_command({"-i", "*"});
  EXPECT_EQ(told.exit_code, 1);
  EXPECT_NE(told.errors.find("IPv6: nat ISTIO_OUTPUT: rule"), std::string::npos) << told.errors;
  EXPECT_EQ(run_command({"-i", "*", "--force-apply"}).exit_code, 0);
}

// What is not there at all is no drift: a run that was cut short is completed by the next.
TEST_F(InitInNamespace, AFamilyOrTableThatIsMissingIsCompleted) {
  const Arguments flags = {"-i", "*", "-b", "*", "--drop-invalid"};
  ASSERT_EQ(run_command(flags).exit_code, 0);
  const auto whole = all_rules();
  rules::run(
      "ip6tables-nft -t nat -F; ip6tables-nft -t nat -X; iptables-nft -t mangle -F; "
      "iptables-nft -t mangle -X");
  EXPECT_EQ(run_command(flags).exit_code, 0);
  EXPECT_EQ(all_rules(), whole);
}

TEST_F(InitInNamespace, WorksOnTheNamespaceThatIsNamed) {
  const pid_t other = fork();
  if (other == 0) {
    unshare(CLONE_NEWNET);
    pause();
    _exit(0);
  }
  const std::string path = "/proc/" + std::to_string(other) + "/ns/net";
  std::string own, there;
  for (int i = 0; i < 1000 && (own == there); i++) {
    own = std::filesystem::read_symlink("/proc/thread-self/ns/net");
    there = std::filesystem::read_symlink(path);
    usleep(1000);
  }
  const auto outcome = run_command(
      {"-i", "*", "--cni-mode", "--network-namespace", path, "--force-iptables-binary", "legacy"});
  unsetenv("XTABLES_LOCKFILE");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos) << "here nothing changes";
  EXPECT_EQ(run_command({"-i", "*", "--verify", "--network-namespace", "/nonexistent"}).exit_code,
            126);
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

// The machine's own network namespace, which these tests run in, is left alone.
TEST(Init, RefusesTheNetworkNamespaceOfAHost) {
  if (!rules::is_host_network()) return;  // a container has none to show
  const auto outcome = run_command({"-i", "*"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.errors.find("hostNetwork"), std::string::npos) << outcome.errors;
}

TEST_F(InitInNamespace, ValidationSeesWhetherAConnectionIsCapturedInBothFamilies) {
  add_addresses();
  const Arguments validate = {"--skip-rule-apply", "--run-validation", "--probe-timeout", "100ms"};
  const auto without = run_command(validate);
  EXPECT_EQ(without.exit_code, 126);
  EXPECT_NE(without.errors.find("IPv4: a connection of uid 1337 to 127.0.0.6 port 15002 came to "
                                "neither capture port"),
            std::string::npos)
      << without.errors;
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos);
  const auto whole = run_command({"-i", "*", "-b", "*", "--run-validation"});
  EXPECT_EQ(whole.exit_code, 0) << whole.errors;
  EXPECT_EQ(run_command(validate).exit_code, 0);
  rules::run("ip6tables-nft -t nat -F ISTIO_OUTPUT");
  const auto half = run_command(validate);
  EXPECT_EQ(half.exit_code, 126);
  EXPECT_NE(half.errors.find("IPv6: a connection of uid 1337 to ::6"), std::string::npos)
      << half.errors;
}

TEST_F(InitInNamespace, ValidationCanNotTellWithinTheRangeOfLoopback) {
  const Environment environment("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.0/8");
  const auto outcome = run_command({"--skip-rule-apply", "--run-validation"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.errors.find("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"), std::string::npos);
}

// As some launchers leave it: the end of a child is told nobody then.
TEST_F(InitInNamespace, WorksWhereSigchldIsIgnored) {
  std::signal(SIGCHLD, SIG_IGN);
  const auto outcome = run_command({"-i", "*"});
  std::signal(SIGCHLD, SIG_DFL);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
}

TEST_F(InitInNamespace, ValidationSaysThatTheAgentRunsAlready) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage storage;
  const socklen_t size = SocketAddress::parse("0.0.0.0:15006")->fill(storage);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&storage), size), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  const auto outcome = run_command({"--skip-rule-apply", "--run-validation"});
  EXPECT_EQ(outcome.exit_code, 126);
  EXPECT_NE(outcome.errors.find("IPv4: port 15006 can't be listened at"), std::string::npos)
      << outcome.errors;
  close(fd);
}

TEST_F(InitInNamespace, ForcesTheBackendThatIsNamed) {
  EXPECT_EQ(run_command({"--force-iptables-binary", "legacy"}).exit_code, 0);
  EXPECT_NE(legacy_tables().find("nat"), std::string::npos);
}

TEST_F(InitInNamespace, FailsWithOneAndTheReasonWhereThereIsNoIptables) {
  only_path();
  const auto outcome = run_command({"-i", "*"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.errors.find("install the iptables package"), std::string::npos)
      << outcome.errors;
  EXPECT_EQ(outcome.output, "");
}

}  // namespace
}  // namespace sallyport::cli
