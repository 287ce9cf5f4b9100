// What fails is told with a hint, and leaves the rules as they were.
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "iptables/hints.h"
#include "tests/support/iptables_namespace.h"

namespace sallyport::rules {
namespace {

class Failure : public InNamespace {
protected:
  static void expect_error(const Result<Applied>& done,
                           std::initializer_list<std::string_view> texts) {
    ASSERT_FALSE(done);
    for (const auto text : texts) {
      EXPECT_NE(done.error().context.find(text), std::string::npos)
          << text << "\nis not in: " << done.error().context;
    }
  }

  // Runs the function in a child process, returns what it returned.
  static std::string in_child(std::string (*work)()) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      const std::string text = work();
      _exit(write(ends[1], text.data(), text.size()) < 0);
    }
    close(ends[1]);
    std::string text;
    char room[4096];
    for (ssize_t got; (got = read(ends[0], room, sizeof room)) > 0;)
      text.append(room, static_cast<std::size_t>(got));
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return text;
  }
};

void drop_net_admin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  syscall(SYS_capget, &header, data);
  data[0].effective &= ~(1U << CAP_NET_ADMIN);
  data[0].permitted &= ~(1U << CAP_NET_ADMIN);
  syscall(SYS_capset, &header, data);
}

template <class T>
std::string outcome(const Result<T>& done) {
  return done ? "done" : done.error().context;
}

TEST_F(Failure, WithoutNetAdminAllThreeRefuseAndTheRulesStay) {
  add_addresses();
  Options other = capture_all();
  other.inbound_ports = "80";
  ASSERT_TRUE(apply(other));
  const auto before = all_rules();
  std::string (*const works[])() = {
      [] { return drop_net_admin(), outcome(apply(capture_all())); },
      [] { return drop_net_admin(), outcome(remove()); },
      [] { return drop_net_admin(), outcome(verify(capture_all())); }};
  for (const auto work : works)
    EXPECT_EQ(in_child(work), "CAP_NET_ADMIN is missing" + std::string(capability_hint));
  EXPECT_EQ(all_rules(), before);
}

TEST_F(Failure, AsAnotherUserItRefusesToo) {
  const auto told =
      in_child([] { return setresuid(65534, 65534, 65534), outcome(apply(capture_all())); });
  EXPECT_EQ(told, "CAP_NET_ADMIN is missing" + std::string(capability_hint));
}

TEST_F(Failure, ACapabilityOverAnotherUserNamespaceIsNotEnough) {
  const auto told = in_child([] {
    if (unshare(CLONE_NEWUSER) != 0) return std::string("unshare failed");
    return outcome(apply(capture_all()));
  });
  EXPECT_NE(told.find("must be root"), std::string::npos) << told;
  EXPECT_NE(told.find(capability_hint), std::string::npos) << told;
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos);
}

TEST_F(Failure, NoIptablesProgramIsToldWithWhatToInstall) {
  only_path();
  expect_error(apply(capture_all()),
               {"IPv4: no iptables-save and iptables-restore in PATH", program_hint});
  const auto removed = remove();
  ASSERT_FALSE(removed);
  EXPECT_NE(removed.error().context.find(program_hint), std::string::npos);
  const auto verified = verify(capture_all());
  ASSERT_FALSE(verified);
  EXPECT_NE(verified.error().context.find(program_hint), std::string::npos);
}

TEST_F(Failure, AKernelWithoutTheModulesIsToldWithTheirNames) {
  write_program("iptables-nft-save",
                "echo 'Failed to initialize nft: Protocol not supported' >&2; exit 1");
  write_program("iptables-nft-restore", "exit 1");
  expect_error(apply(capture_all()), {"IPv4: ", "Protocol not supported", "nf_nat", "xt_REDIRECT"});
  write_program("iptables-legacy-save", "exit 1");
  write_program("iptables-legacy-restore",
                "echo \"iptables-restore: unable to initialize table 'nat'\" >&2; exit 3");
  expect_error(apply(capture_all()), {"IPv4: ", "unable to initialize table 'nat'", "iptable_nat"});
}

TEST_F(Failure, AnExtensionThatIsMissingNamesTheLineOfTheRule) {
  link_program("iptables-nft-save", "/usr/sbin/iptables-nft-save");
  write_program("iptables-nft-restore",
                "echo 'line 8: RULE_APPEND failed (No such file or directory): rule in chain "
                "ISTIO_INBOUND' >&2; exit 4");
  expect_error(apply(capture_all()),
               {"line 8", "that line is: -A ISTIO_INBOUND -p tcp -m tcp --dport 15021 -j RETURN",
                "xt_owner"});
}

TEST_F(Failure, OfTheIpv6HalfUndoesTheIpv4Half) {
  add_addresses();
  const auto fresh = all_rules();
  const auto addresses = run("ip addr");
  link_real("iptables-nft");
  link_program("ip6tables-nft-save", "/usr/sbin/ip6tables-nft-save");
  write_program("ip6tables-nft-restore", "echo 'table does not exist' >&2; exit 3");
  expect_error(apply(capture_all()), {"IPv6: ", "table does not exist", module_hint});
  give_path_back();
  EXPECT_EQ(lines_of(all_rules(), "-A"), lines_of(fresh, "-A"));
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos);
  EXPECT_EQ(run("ip addr"), addresses);
}

TEST_F(Failure, OfTheIpv6HalfGivesBackTheOldIpv4RulesAndTheirPlaces) {
  add_addresses();
  Options old = capture_all();
  old.exclude_interfaces = {"net1"};
  ASSERT_TRUE(apply(old));
  run("iptables-nft -t nat -A PREROUTING -d 203.0.113.1/32 -j ACCEPT");
  run("iptables-nft -t nat -I PREROUTING 1 -d 203.0.113.2/32 -j ACCEPT");
  const auto before = all_rules();
  link_real("iptables-nft");
  link_program("ip6tables-nft-save", "/usr/sbin/ip6tables-nft-save");
  write_program("ip6tables-nft-restore", "exit 1");
  Options changed = capture_all();
  changed.drop_invalid = true;
  changed.outbound_port = 16001;
  expect_error(apply(changed), {"IPv6: "});
  give_path_back();
  EXPECT_EQ(lines_of(all_rules(), "-A"), lines_of(before, "-A"));
  EXPECT_TRUE(verify(old));
}

TEST_F(Failure, OfTheRulesTakesTheirRoutesBack) {
  add_addresses();
  Options options = capture_all();
  options.interception = Interception::tproxy;
  const auto before = run("ip rule; ip -6 rule; ip route show table all");
  link_real("iptables-nft");
  link_program("ip6tables-nft-save", "/usr/sbin/ip6tables-nft-save");
  write_program("ip6tables-nft-restore", "exit 1");
  expect_error(apply(options), {"IPv6: "});
  give_path_back();
  EXPECT_EQ(run("ip rule; ip -6 rule; ip route show table all"), before);
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos);
}

TEST_F(Failure, OfASecondTableUndoesTheFirst) {
  Options options = capture_all();
  options.backend = Backend::nft;
  options.drop_invalid = true;
  link_program("iptables-nft-save", "/usr/sbin/iptables-nft-save");
  // Commits the mangle table, then fails, the first time.
  const auto marker = (only_path() / "failed-once").string();
  write_program("iptables-nft-restore",
                "if [ -e " + marker +
                    " ]; then exec /usr/sbin/iptables-nft-restore \"$@\"; fi; touch " + marker +
                    "; sed '/^COMMIT/q' | /usr/sbin/iptables-nft-restore \"$@\"; exit 1");
  expect_error(apply(options), {"IPv4: "});
  give_path_back();
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos) << all_rules();
}

TEST_F(Failure, OfIpv6IsOnlyNotedWhereNoAddressNeedsIt) {
  link_real("iptables-nft");
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_FALSE(applied->backend_v6.has_value());
  EXPECT_NE(applied->report.find(
                "IPv6: no rules, and no address here that needs them (no ip6tables-save"),
            std::string::npos)
      << applied->report;
  EXPECT_TRUE(verify(capture_all()));
  EXPECT_TRUE(remove());
  give_path_back();
  add_addresses();
  only_path();
  ASSERT_FALSE(apply(capture_all()));
}

TEST_F(Failure, OfIpv6IsAnErrorWhereOlderIpv6RulesWouldStay) {
  ASSERT_TRUE(apply(capture_all()));
  link_real("iptables-nft");
  link_program("ip6tables-nft-save", "/usr/sbin/ip6tables-nft-save");
  write_program("ip6tables-nft-restore", "exit 1");
  Options other = capture_all();
  other.inbound_ports = "80";
  expect_error(apply(other), {"IPv6: "});
  EXPECT_TRUE(verify(capture_all()));
}

TEST_F(Failure, NothingOfIp6tablesRunsWhereIpv6IsOff) {
  run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
  link_real("iptables-nft");
  const auto marker = (only_path() / "ran").string();
  for (const char* verb : {"-save", "-restore"})
    write_program(std::string("ip6tables-nft") + verb, "touch " + marker);
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_NE(applied->report.find("IPv6: off"), std::string::npos) << applied->report;
  EXPECT_TRUE(verify(capture_all()));
  EXPECT_TRUE(remove());
  EXPECT_FALSE(std::filesystem::exists(marker));
}

TEST_F(Failure, OfNftInTheKernelFallsBackToLegacy) {
  for (const std::string stem : {"iptables", "ip6tables"}) {
    write_program(stem + "-nft-save",
                  "echo 'Failed to initialize nft: Protocol not supported' >&2; exit 1");
    write_program(stem + "-nft-restore", "exit 1");
    link_real(stem + "-legacy");
  }
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_EQ(applied->backend_v4, Backend::legacy);
  EXPECT_EQ(applied->backend_v6, Backend::legacy);
  EXPECT_TRUE(verify(capture_all()));
  EXPECT_TRUE(remove());
}

TEST_F(Failure, OfTheNftCommitFallsBackToLegacyAsNothingIsThereYet) {
  link_program("iptables-nft-save", "/usr/sbin/iptables-nft-save");
  write_program(
      "iptables-nft-restore",
      "echo 'Extension owner revision 0 not supported, missing kernel module?' >&2; exit 2");
  link_real("iptables-legacy");
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_EQ(applied->backend_v4, Backend::legacy);
}

TEST_F(Failure, LegacyTablesThatCannotBeReadAreNotPassedOver) {
  run("iptables-legacy -t nat -A OUTPUT -j ACCEPT");
  link_real("iptables-nft");
  write_program("iptables-legacy-save", "echo broken >&2; exit 1");
  write_program("iptables-legacy-restore", "exit 1");
  expect_error(apply(capture_all()), {"IPv4: ", "iptables-legacy-save", "broken"});
}

TEST_F(Failure, AForcedBackendThatIsMissingIsNotReplaced) {
  link_real("iptables-nft");
  Options options = capture_all();
  options.backend = Backend::legacy;
  expect_error(apply(options), {"--force-iptables-binary: iptables-legacy is not there"});
}

TEST_F(Failure, OfABusyKernelIsTriedAgain) {
  link_program("iptables-nft-save", "/usr/sbin/iptables-nft-save");
  const auto marker = (only_path() / "busy-once").string();
  write_program("iptables-nft-restore",
                "if [ -e " + marker +
                    " ]; then exec /usr/sbin/iptables-nft-restore \"$@\"; fi; touch " + marker +
                    "; echo 'Resource temporarily unavailable' >&2; exit 4");
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied) << applied.error().context;
}

TEST_F(Failure, PlainNamesAreTakenForWhatTheirVersionSays) {
  for (const auto backend : {Backend::nft, Backend::legacy}) {
    const std::string target =
        backend == Backend::nft ? "/usr/sbin/xtables-nft-multi" : "/usr/sbin/xtables-legacy-multi";
    for (const char* name :
         {"iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore"}) {
      std::filesystem::remove(only_path() / name);
      link_program(name, target);
    }
    const auto applied = apply(capture_all());
    ASSERT_TRUE(applied) << applied.error().context;
    EXPECT_EQ(applied->backend_v4, backend);
    EXPECT_EQ(applied->backend_v6, backend);
    EXPECT_TRUE(remove());
  }
}

TEST(Program, GivesItsInputAndCollectsWhatItPrintsHoweverLong) {
  const std::string input(1'000'000, 'x');
  const auto result = run_program({"/bin/sh", "-c", "cat; echo told >&2; exit 3"}, input);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, input);
  EXPECT_EQ(result->errors, "told\n");
  EXPECT_EQ(result->exit_code, 3);
}

TEST(Program, ThatASignalEndsAndThatIsNotThereAreTold) {
  EXPECT_EQ(run_program({"/bin/sh", "-c", "kill -9 $$"}, "")->exit_code, 128 + 9);
  const auto missing = run_program({"/nonexistent/iptables"}, "");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().context, "/nonexistent/iptables: No such file or directory");
}

TEST(Program, ThatPrintsWithoutEndIsKilled) {
  const auto result = run_program({"/bin/sh", "-c", "exec cat /dev/zero"}, "");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().fault, Fault::overflow);
}

}  // namespace
}  // namespace sallyport::rules
