// Which rules a packet meets, read from what iptables-save prints.
#include "iptables/verify/rule_walk.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "iptables/verify/blame.h"

namespace sallyport::rules {
namespace {

WalkedPacket syn_to(const char* ip, uint16_t port) {
  WalkedPacket packet;
  packet.protocol = IPPROTO_TCP;
  packet.destination = *IpAddress::parse(ip);
  packet.port = port;
  packet.uid = packet.gid = 1000;
  return packet;
}

std::string walked(const std::string& save, const WalkedPacket& packet) {
  static constexpr const char* names[] = {"accepts", "returns",  "leads",
                                          "drops",   "untracks", "queues"};
  std::string out;
  for (const auto& decision : walk(save, packet)) {
    if (!out.empty()) out += "; ";
    out += std::string(decision.certain ? "" : "perhaps ") +
           names[static_cast<std::size_t>(decision.verdict)] + " " + decision.table + " " +
           decision.where.substr(0, decision.where.find(": "));
    if (decision.port != 0) out += " " + std::to_string(decision.port);
  }
  return out;
}

TEST(RuleWalk, evaluatesEachMatch) {
  struct Case {
    const char *match, *verdict;  // of "-A OUTPUT MATCH -j DROP" in filter
  };
  const Case cases[] = {
      {"", "drops"},
      {"-p tcp", "drops"},
      {"-p udp", ""},
      {"-p 6", "drops"},
      {"! -p tcp", ""},
      {"-d 10.0.0.0/8", "drops"},
      {"-d 10.1.0.0/16", ""},
      {"! -d 10.1.0.0/16", "drops"},
      {"-p tcp -m tcp --dport 443", "drops"},
      {"-p tcp -m tcp --dport 80", ""},
      {"-p tcp -m tcp --dport 400:500", "drops"},
      {"-p tcp -m multiport --dports 80,443", "drops"},
      {"-p tcp -m multiport ! --dports 80,443", ""},
      {"-p tcp -m multiport --dports 80,81:90", ""},
      {"-m owner --uid-owner 1000", "drops"},
      {"-m owner ! --uid-owner 1000", ""},
      {"-m owner --gid-owner 1001-1005", ""},
      {"-m owner --gid-owner 999-1005", "drops"},
      {"-m comment --comment \"what -j ACCEPT says\"", "drops"},
      {"-m mark --mark 0x539", ""},
      {"-m mark ! --mark 0x539", "drops"},
      {"-m conntrack --ctstate RELATED,ESTABLISHED", ""},
      {"-m conntrack --ctstate NEW,ESTABLISHED", "drops"},
      {"-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "drops"},
      {"-p tcp -m tcp --tcp-flags RST RST", ""},
      {"-i eth0", ""},
      {"-o lo", "perhaps drops"},
      {"-s 192.168.0.0/16", "perhaps drops"},
      {"-m statistic --mode random --probability 0.5", "perhaps drops"},
      {"-p udp -m statistic --mode random --probability 0.5", ""},
      {"-m set --match-set denied dst", "perhaps drops"},
  };
  for (const auto& test : cases) {
    const std::string save = "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT " + std::string(test.match) +
                             " -j DROP\nCOMMIT\n";
    const std::string verdict = test.verdict;
    EXPECT_EQ(walked(save, syn_to("10.0.0.1", 443)),
              verdict.empty() ? "" : verdict + " filter OUTPUT rule 1")
        << test.match;
  }
}

TEST(RuleWalk, knowsWhichDeviceItIs) {
  WalkedPacket packet = syn_to("10.0.0.1", 443);
  packet.device = "eth0";
  const std::string save =
      "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -o eth1 -j DROP\n-A OUTPUT -o eth+ -j "
      "DROP\nCOMMIT\n";
  EXPECT_EQ(walked(save, packet), "drops filter OUTPUT rule 2");
}

TEST(RuleWalk, followsJumpsReturnsAndGotos) {
  const std::string save =
      "*nat\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n"
      "-A OUTPUT -j A\n-A OUTPUT -g B\n-A OUTPUT -j ACCEPT\n"
      "-A A -p tcp -j RETURN\n-A A -j ACCEPT\n"
      "-A B -p udp -j ACCEPT\nCOMMIT\n";
  EXPECT_EQ(walked(save, syn_to("10.0.0.1", 443)), "returns nat A rule 1");
}

TEST(RuleWalk, goesOnToTheSocketItIsLedTo) {
  const std::string save =
      "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -j REDIRECT --to-ports 15001\nCOMMIT\n"
      "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
      "-A INPUT -i lo -p tcp -m tcp --dport 15001 -j REJECT --reject-with tcp-reset\nCOMMIT\n";
  EXPECT_EQ(walked(save, syn_to("10.0.0.1", 443)),
            "leads nat OUTPUT rule 1 15001; drops filter INPUT rule 1");
}

TEST(RuleWalk, goesNoFurtherThanWhereItIsDropped) {
  const std::string save =
      "*raw\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j CT --notrack\nCOMMIT\n"
      "*mangle\n:OUTPUT DROP [0:0]\nCOMMIT\n"
      "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j ACCEPT\nCOMMIT\n";
  EXPECT_EQ(walked(save, syn_to("10.0.0.1", 443)),
            "untracks raw OUTPUT rule 1; drops mangle OUTPUT");
}

TEST(RuleWalk, survivesChainsThatCallEachOtherAndBrokenText) {
  EXPECT_EQ(walked("*nat\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n-A OUTPUT -j A\n-A A -j A\nCOMMIT\n",
                   syn_to("10.0.0.1", 443)),
            "");
  for (const char* text : {"", "*", "-A", "*nat\n-A ", "*nat\n:\n-A OUTPUT ! -j\n-A OUTPUT \"\n",
                           "*nat\n-A OUTPUT -j", "*nat\n-A OUTPUT !\n:OUTPUT\n"})
    EXPECT_EQ(walked(text, syn_to("10.0.0.1", 443)), "") << text;
}

TEST(RuleWalk, inboundMeetsPreroutingAndInput) {
  WalkedPacket packet = syn_to("10.0.0.1", 8080);
  packet.direction = Direction::inbound;
  const std::string save =
      "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j TPROXY --on-port 15006 --on-ip "
      "0.0.0.0 --tproxy-mark 0x539/0xffffffff\nCOMMIT\n"
      "*filter\n:INPUT DROP [0:0]\n-A INPUT -m owner --uid-owner 0 -j ACCEPT\nCOMMIT\n";
  EXPECT_EQ(walked(save, packet), "leads mangle PREROUTING rule 1 15006; drops filter INPUT");
}

TEST(Blame, prefersWhatIsCertain) {
  const std::vector<Decision> decisions = {
      {Decision::Verdict::drops, false, 0, "filter",
       "OUTPUT rule 1: -m set --match-set a dst -j DROP"},
      {Decision::Verdict::drops, true, 0, "filter", "OUTPUT rule 2: -j DROP"}};
  Probe probe;
  probe.led_to = 15001;
  EXPECT_EQ(blame(probe, {Outcome::Kind::lost, 0, ""}, decisions), "filter OUTPUT rule 2: -j DROP");
  EXPECT_EQ(blame(probe, {Outcome::Kind::lost, 0, ""}, {decisions[0]}),
            "perhaps filter OUTPUT rule 1: -m set --match-set a dst -j DROP");
  EXPECT_EQ(blame(probe, {Outcome::Kind::passed, 0, ""}, {}), "no rule leads it to 15001");
  EXPECT_EQ(blame(probe, {Outcome::Kind::lost, 0, ""}, {}),
            "no rule of iptables does that; `nft list ruleset` shows others");
}

}  // namespace
}  // namespace sallyport::rules
