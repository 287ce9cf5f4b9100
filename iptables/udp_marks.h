// What the rules for UDP and their reader (iptables/queue) agree on.
#pragma once
#include <cstdint>

namespace sallyport::rules {

inline constexpr uint16_t udp_queue = 15001;  // of NFQUEUE, in the pod's network namespace

// The agent's verdict in a packet's mark, and kept in its flow's connmark, beside what others have
// there: TPROXY's marks are below.
inline constexpr uint32_t udp_mark_mask = 0x30000;
inline constexpr uint32_t udp_allowed = 0x10000, udp_refused = 0x20000;

}  // namespace sallyport::rules
