// An IP packet as NFQUEUE hands it over, as far as a UDP policy needs it (RFC 768, 791, 8200).
// Pure; every length in it is hostile: applications with raw sockets write them.
#pragma once
#include <optional>
#include <span>

#include "agent/core/address.h"

namespace sallyport::rules {

struct UdpPacket {
  SocketAddress source, destination;
  std::span<const char> payload;  // views the packet
};

// nullopt: not a whole UDP datagram. It is of another protocol, a fragment, cut short, or has more
// extension headers than any sender needs.
std::optional<UdpPacket> read_udp_packet(std::span<const char> packet);

}  // namespace sallyport::rules
