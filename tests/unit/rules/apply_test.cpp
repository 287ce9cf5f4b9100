// Applying, verifying and removing with the real iptables, each test in a network namespace of its
// own.
#include "tests/support/iptables_namespace.h"

namespace sallyport::rules {
namespace {

constexpr Family families[] = {Family::v4, Family::v6};

class Apply : public InNamespace, public testing::WithParamInterface<Backend> {
protected:
  void SetUp() override {
    InNamespace::SetUp();
    options_.backend = GetParam();
  }
  static std::string saved(Family family) { return InNamespace::saved(family, GetParam()); }
  static void change(Family family, const std::string& arguments) {
    run(program(family, GetParam()) + " " + arguments);
  }
  static std::string planned_text(const Options& options, Family family) {
    const auto made = plan(options);
    return family == Family::v4 ? made->restore_v4 : made->restore_v6;
  }
  static void send_datagram() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage to;
    const socklen_t size = SocketAddress::parse("127.0.0.1:9")->fill(to);
    EXPECT_EQ(sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), size), 1);
    close(fd);
  }
  static Applied must_apply(const Options& options) {
    const auto applied = apply(options);
    EXPECT_TRUE(applied) << applied.error().context;
    return applied ? *applied : Applied{};
  }

  Options options_ = capture_all();
};

TEST_P(Apply, LeavesExactlyThePlanInBothFamilies) {
  options_.exclude_interfaces = {"net1"};
  options_.guest_interfaces = {"virt0"};
  options_.exclude_outbound_ports = {22};
  options_.outbound_ports = {80};
  options_.outbound_cidrs = "10.0.0.0/8,0.0.0.0/0,fd00::/8,::/0";
  options_.exclude_outbound_cidrs = parse_cidrs("10.1.0.0/16,2001:db8::/32", "").value();
  const auto applied = must_apply(options_);
  EXPECT_TRUE(applied.changed);
  EXPECT_EQ(applied.backend_v4, GetParam());
  EXPECT_EQ(applied.backend_v6, GetParam());
  for (const auto family : families) {
    EXPECT_EQ(lines_of(saved(family), "-A"), lines_of(planned_text(options_, family), "-A"));
    EXPECT_EQ(lines_of(saved(family), ":ISTIO"),
              lines_of(planned_text(options_, family), ":ISTIO"));
  }
  const auto verified = verify(options_);
  EXPECT_TRUE(verified) << verified.error().context;
}

TEST_P(Apply, SecondTimeChangesNothing) {
  options_.exclude_interfaces = {"net1"};
  options_.drop_invalid = true;
  must_apply(options_);
  const auto before = all_rules();
  // The counters tell whether rules were replaced by equal ones.
  send_datagram();
  const auto counters = lines_of(run(program(Family::v4, GetParam()) + "-save -c"), "[");
  EXPECT_TRUE(std::any_of(counters.begin(), counters.end(),
                          [](const auto& line) { return line.starts_with("[1:"); }));
  const auto again = must_apply(options_);
  EXPECT_FALSE(again.changed);
  EXPECT_EQ(all_rules(), before);
  EXPECT_EQ(lines_of(run(program(Family::v4, GetParam()) + "-save -c"), "["), counters);
  EXPECT_NE(again.report.find("unchanged"), std::string::npos) << again.report;
}

TEST_P(Apply, OtherOptionsReplaceAllOfTheOldOnes) {
  options_.exclude_interfaces = {"net1"};
  options_.drop_invalid = true;
  must_apply(options_);
  Options other = capture_all();
  other.backend = GetParam();
  other.inbound_ports = "8080";
  other.outbound_cidrs = "10.0.0.0/8";
  EXPECT_TRUE(must_apply(other).changed);
  for (const auto family : families) {
    EXPECT_EQ(lines_of(saved(family), "-A"), lines_of(planned_text(other, family), "-A"));
    EXPECT_EQ(lines_of(saved(family), ":ISTIO"), lines_of(planned_text(other, family), ":ISTIO"));
  }
  EXPECT_FALSE(verify(options_));
  EXPECT_TRUE(verify(other));
}

TEST_P(Apply, RulesOfOthersStayInTheirOrderThroughEverything) {
  const std::vector<std::string> others = {
      "-A PREROUTING -d 203.0.113.1/32 -j ACCEPT", "-A PREROUTING -j FOREIGN",
      "-A OUTPUT -d 203.0.113.2/32 -j RETURN",
      "-A FOREIGN -p tcp -m comment --comment \"sallyport to ISTIO_OUTPUT\" -j ACCEPT"};
  run(program(Family::v4, GetParam()) + " -t nat -N FOREIGN");
  for (const auto& rule : others) change(Family::v4, "-t nat " + rule);
  const auto of_others = [&] {
    std::vector<std::string> out;
    for (const auto& line : lines_of(saved(Family::v4), "-A")) {
      if (std::find(others.begin(), others.end(), line) != others.end()) out.push_back(line);
    }
    return out;
  };
  must_apply(options_);
  EXPECT_EQ(of_others(), others);
  EXPECT_EQ(lines_of(saved(Family::v4), "-A PREROUTING").back(),
            "-A PREROUTING -p tcp -j ISTIO_INBOUND");
  options_.inbound_ports = "";
  must_apply(options_);
  EXPECT_EQ(of_others(), others);
  ASSERT_TRUE(remove());
  EXPECT_EQ(lines_of(saved(Family::v4), "-A"), others);
}

TEST_P(Apply, TakesOverWhatIstiosOwnInstallerLeft) {
  // With DNS capture, inbound TPROXY marks and its other chains.
  change(Family::v4, "-t nat -N ISTIO_OUTPUT_DNS");
  change(Family::v4,
         "-t nat -A ISTIO_OUTPUT_DNS -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053");
  change(Family::v4, "-t nat -A OUTPUT -p udp -j ISTIO_OUTPUT_DNS");
  change(Family::v4, "-t raw -N ISTIO_OUTPUT_DNS");
  change(Family::v4, "-t raw -A OUTPUT -j ISTIO_OUTPUT_DNS");
  change(Family::v4, "-t mangle -N ISTIO_DIVERT");
  change(Family::v4, "-t mangle -N ISTIO_INBOUND");
  change(Family::v4, "-t mangle -A ISTIO_INBOUND -j ISTIO_DIVERT");
  change(Family::v4, "-t mangle -A PREROUTING -p tcp -j ISTIO_INBOUND");
  must_apply(options_);
  EXPECT_EQ(lines_of(saved(Family::v4), "-A"), lines_of(planned_text(options_, Family::v4), "-A"));
  EXPECT_EQ(lines_of(saved(Family::v4), ":ISTIO"),
            lines_of(planned_text(options_, Family::v4), ":ISTIO"));
}

TEST_P(Apply, GivesLoopbackTheSourceAddressOfIpv6InboundConnections) {
  must_apply(options_);
  EXPECT_NE(run("ip -6 addr show dev lo").find("inet6 ::6/128"), std::string::npos);
  run("ip addr del ::6/128 dev lo");
  const auto verified = verify(options_);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().context, "IPv6: the address ::6 is missing on lo");
  EXPECT_TRUE(must_apply(options_).changed);
  EXPECT_TRUE(verify(options_));
}

struct DamageCase {
  const char* name;
  Family family;
  const char* command;  // arguments of iptables
  const char* told;
};

const DamageCase damages[] = {
    {"a rule deleted", Family::v4, "-t nat -D ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN",
     "IPv4: nat ISTIO_OUTPUT: rule 1 is missing: -s 127.0.0.6/32 -o lo -j RETURN"},
    {"a rule deleted in the other family", Family::v6, "-t nat -D ISTIO_INBOUND 2",
     "IPv6: nat ISTIO_INBOUND: rule 2 is missing: -p tcp -m tcp --dport 15090 -j RETURN"},
    {"a rule inserted", Family::v4, "-t nat -I ISTIO_INBOUND 1 -j RETURN",
     "IPv4: nat ISTIO_INBOUND: rule 1 does not belong there: -j RETURN"},
    {"a rule replaced", Family::v6, "-t nat -R ISTIO_REDIRECT 1 -p tcp -j REDIRECT --to-ports 1",
     "IPv6: nat ISTIO_REDIRECT: rule 1 is \"-p tcp -j REDIRECT --to-ports 1\", should be "
     "\"-p tcp -j REDIRECT --to-ports 15001\""},
    {"a jump deleted", Family::v4, "-t nat -D PREROUTING -p tcp -j ISTIO_INBOUND",
     "IPv4: nat PREROUTING, of our rules there: rule 1 is missing: -p tcp -j ISTIO_INBOUND"},
    {"a chain emptied", Family::v6, "-t nat -F ISTIO_OUTPUT",
     "IPv6: nat ISTIO_OUTPUT: rule 1 is missing: -s ::6/128 -o lo -j RETURN"},
    {"the table emptied", Family::v4, "-t nat -F",
     "IPv4: nat ISTIO_INBOUND: rule 1 is missing: -p tcp -m tcp --dport 15008 -j RETURN"},
};

TEST_P(Apply, VerifyNamesTheDamageAndApplyMendsIt) {
  must_apply(options_);
  const auto whole = all_rules();
  for (const auto& damage : damages) {
    change(damage.family, damage.command);
    const auto damaged = all_rules();
    const auto verified = verify(options_);
    ASSERT_FALSE(verified) << damage.name;
    EXPECT_EQ(verified.error().context, damage.told) << damage.name;
    EXPECT_EQ(all_rules(), damaged) << "verify changed something: " << damage.name;
    EXPECT_TRUE(must_apply(options_).changed) << damage.name;
    EXPECT_EQ(all_rules(), whole) << damage.name;
    EXPECT_TRUE(verify(options_)) << damage.name;
  }
}

TEST_P(Apply, VerifyMissesRulesThatWereNeverThere) {
  const auto verified = verify(options_);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().context, "IPv4: there are no redirect rules");
}

TEST_P(Apply, RemoveTakesEverythingOfAnyFlagsAndASecondOneNothing) {
  const auto before = run("ip addr");
  options_.exclude_interfaces = {"net1"};
  options_.guest_interfaces = {"virt0"};
  options_.drop_invalid = true;
  must_apply(options_);
  const auto removed = remove();
  ASSERT_TRUE(removed) << removed.error().context;
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos) << all_rules();
  EXPECT_EQ(all_rules().find("-A"), std::string::npos) << all_rules();
  EXPECT_EQ(run("ip addr"), before);
  EXPECT_EQ(remove().value(), "there was nothing to remove\n");
}

TEST_P(Apply, ALongListFitsIntoOneCommit) {
  for (uint16_t port = 1; port <= 150; port++) options_.exclude_outbound_ports.push_back(port);
  for (int i = 0; i < 150; i++)
    options_.exclude_outbound_cidrs.push_back(*Cidr::parse("10.0." + std::to_string(i) + ".0/24"));
  must_apply(options_);
  EXPECT_EQ(lines_of(saved(Family::v4), "-A"), lines_of(planned_text(options_, Family::v4), "-A"));
  EXPECT_FALSE(must_apply(options_).changed);
}

INSTANTIATE_TEST_SUITE_P(Backends, Apply, testing::Values(Backend::nft, Backend::legacy),
                         [](const auto& info) {
                           return std::string(info.param == Backend::nft ? "nft" : "legacy");
                         });

class Detection : public InNamespace {
protected:
  static Backend chosen() {
    const auto applied = apply(capture_all());
    EXPECT_TRUE(applied) << applied.error().context;
    EXPECT_EQ(applied->backend_v4, applied->backend_v6.value());
    return applied->backend_v4;
  }
};

TEST_F(Detection, AnEmptyNamespaceGetsNftAndNoLegacyTableIsMadeByLooking) {
  EXPECT_EQ(chosen(), Backend::nft);
  EXPECT_TRUE(verify(capture_all()));
  EXPECT_EQ(chosen(), Backend::nft);
  EXPECT_TRUE(remove());
  EXPECT_EQ(legacy_tables(), "");
}

TEST_F(Detection, LegacyTablesThatSomebodyOnlyLookedAtDoNotCount) {
  for (const auto family : families) run(program(family, Backend::legacy) + " -t nat -S");
  EXPECT_EQ(chosen(), Backend::nft);
}

TEST_F(Detection, LegacyIsTakenWhereItHoldsRulesOfOthers) {
  for (const auto family : families)
    run(program(family, Backend::legacy) + " -t filter -A INPUT -j ACCEPT");
  EXPECT_EQ(chosen(), Backend::legacy);
}

TEST_F(Detection, OurRulesStayInTheBackendTheyAreIn) {
  Options options = capture_all();
  options.backend = Backend::legacy;
  ASSERT_TRUE(apply(options));
  EXPECT_EQ(chosen(), Backend::legacy);
}

TEST_F(Detection, FamiliesAreChosenApart) {
  run("ip6tables-legacy -t filter -A INPUT -j ACCEPT");
  const auto applied = apply(capture_all());
  ASSERT_TRUE(applied);
  EXPECT_EQ(applied->backend_v4, Backend::nft);
  EXPECT_EQ(applied->backend_v6, Backend::legacy);
  EXPECT_TRUE(verify(capture_all()));
}

TEST_F(Detection, AForcedBackendTakesOverAndTheOtherIsCleared) {
  ASSERT_EQ(chosen(), Backend::nft);
  Options options = capture_all();
  options.backend = Backend::legacy;
  const auto told = verify(options);
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().context, "IPv4: the rules are in the nft backend");
  const auto applied = apply(options);
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_TRUE(applied->changed);
  EXPECT_EQ(saved(Family::v4, Backend::nft).find("ISTIO"), std::string::npos);
  EXPECT_EQ(saved(Family::v6, Backend::nft).find("ISTIO"), std::string::npos);
  EXPECT_TRUE(verify(options));
}

TEST_F(Detection, RulesInBothBackendsAreToldAndReducedToOne) {
  ASSERT_EQ(chosen(), Backend::nft);
  run("iptables-nft-save 2>/dev/null | iptables-legacy-restore");
  const auto told = verify(capture_all());
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().context,
            "IPv4: there are redirect rules in both backends, legacy and nft");
  EXPECT_TRUE(apply(capture_all()));
  EXPECT_TRUE(verify(capture_all()));
  run("iptables-nft-save 2>/dev/null | iptables-legacy-restore");
  EXPECT_TRUE(remove());
  EXPECT_EQ(all_rules().find("ISTIO"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::rules
