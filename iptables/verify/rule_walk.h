// Which rules of an iptables-save text a packet meets: to name the one at fault. Pure.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iptables/verify/probe_list.h"

namespace sallyport::rules {

// The first packet of a flow, without any mark.
struct WalkedPacket {
  Family family = Family::v4;
  Direction direction = Direction::outbound;
  uint8_t protocol = 0;
  IpAddress destination;
  uint16_t port = 0;
  std::optional<IpAddress> source;    // unset: not known
  std::optional<std::string> device;  // it leaves by, or comes in by
  uint32_t uid = 0, gid = 0;          // outbound
  bool to_itself = false;             // the destination is the pod's
};

// One rule that a packet met and that decided about it.
struct Decision {
  enum class Verdict : uint8_t { accepts, returns, leads, drops, untracks, queues };
  Verdict verdict = Verdict::accepts;
  bool certain = true;       // false: it has a match that this reader does not know
  uint16_t port = 0;         // where it leads, if that is told
  std::string table, where;  // "nat", "OUTPUT rule 2: -p tcp -j ACCEPT", "INPUT: policy DROP"
};

// In the kernel's order: a packet's way out of the pod, or into it, and on to a socket of the pod's
// when it is led there.
std::vector<Decision> walk(std::string_view save, const WalkedPacket& packet);

}  // namespace sallyport::rules
