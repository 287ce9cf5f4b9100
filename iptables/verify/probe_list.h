// Which probes `init --verify` sends, and where each is to arrive: read from the flags' meaning,
// not from the rules that were made of them. Pure.
#pragma once
#include "iptables/options.h"

namespace sallyport::rules {

enum class Direction : uint8_t { outbound, inbound };

struct Probe {
  Family family = Family::v4;
  Direction direction = Direction::outbound;
  uint8_t protocol = 0;       // IPPROTO_TCP, IPPROTO_UDP
  std::string about;          // what it is to show: "-o 443"
  SocketAddress destination;  // as it is dialled
  uint32_t uid = 0, gid = 0;  // whose it is; outbound
  std::string interface;      // by which it must leave; empty: whichever
  uint16_t led_to = 0;        // the port of the pod where it must arrive; 0: it passes by
};

// "IPv4 TCP out of uid 1000 (-o 443): 198.51.100.1:443"
std::string title_of(const Probe& probe);
// "is led to 15001", "passes by"
std::string expectation_of(const Probe& probe);

// Of one family.
struct ProbedAddresses {
  IpAddress outside;                    // not the pod's; nobody answers there
  IpAddress own;                        // the pod's; unset: none but loopback
  std::vector<std::string> interfaces;  // that are there
};

struct ProbeList {
  std::vector<Probe> probes;
  std::vector<std::string> left_out;  // what can't be probed, each with its reason
};

ProbeList probes_of(const CheckedOptions& checked, Family family, const ProbedAddresses& addresses);

}  // namespace sallyport::rules
