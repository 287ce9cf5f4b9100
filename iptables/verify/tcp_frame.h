// An Ethernet frame with a TCP segment without data (RFC 791, RFC 8200, RFC 9293). Pure.
#pragma once
#include <vector>

#include "iptables/verify/test_link.h"

namespace sallyport::rules {

struct TcpSegment {
  SocketAddress from, to;  // of one family
  uint8_t flags = 0;       // TH_SYN, TH_RST
  uint32_t sequence = 0;
};

std::vector<uint8_t> tcp_frame(const HardwareAddress& from, const HardwareAddress& to,
                               const TcpSegment& segment);

}  // namespace sallyport::rules
