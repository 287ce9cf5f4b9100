#include "iptables/queue/udp_packet.h"

#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace sallyport::rules {
namespace {

using Octets = std::span<const char>;

uint8_t octet(Octets of, std::size_t at) { return static_cast<uint8_t>(of[at]); }
uint16_t two_octets(Octets of, std::size_t at) {
  return static_cast<uint16_t>(octet(of, at) << 8 | octet(of, at + 1));
}

IpAddress v4_at(Octets of, std::size_t at) {
  return IpAddress::v4(uint32_t{two_octets(of, at)} << 16 | two_octets(of, at + 2));
}
IpAddress v6_at(Octets of, std::size_t at) {
  in6_addr bytes;
  std::memcpy(&bytes, of.data() + at, sizeof bytes);
  return IpAddress::v6(bytes);
}

std::optional<UdpPacket> read_datagram(const IpAddress& source, const IpAddress& destination,
                                       Octets datagram) {
  constexpr std::size_t header = 8;
  if (datagram.size() < header) return std::nullopt;
  const std::size_t size = two_octets(datagram, 4);
  if (size < header || size > datagram.size()) return std::nullopt;
  return UdpPacket{SocketAddress(source, two_octets(datagram, 0)),
                   SocketAddress(destination, two_octets(datagram, 2)),
                   datagram.subspan(header, size - header)};
}

std::optional<UdpPacket> read_v4(Octets packet) {
  constexpr std::size_t least = 20;
  constexpr uint16_t offset_and_more = 0x3fff;
  if (packet.size() < least) return std::nullopt;
  const std::size_t header = (octet(packet, 0) & 0xfu) * 4, size = two_octets(packet, 2);
  if (header < least || size < header || size > packet.size()) return std::nullopt;
  if (two_octets(packet, 6) & offset_and_more || octet(packet, 9) != IPPROTO_UDP)
    return std::nullopt;
  return read_datagram(v4_at(packet, 12), v4_at(packet, 16), packet.subspan(header, size - header));
}

// Where the UDP header begins; 0: there is none.
std::size_t skip_extensions(Octets packet, std::size_t end) {
  constexpr int most = 8;
  constexpr uint16_t offset_and_more = 0xfff9;
  std::size_t at = 40;
  uint8_t next = octet(packet, 6);
  for (int i = 0; i < most && next != IPPROTO_UDP; i++) {
    if (end - at < 8) return 0;
    const bool fragment = next == IPPROTO_FRAGMENT;
    if (fragment && two_octets(packet, at + 2) & offset_and_more) return 0;
    if (!fragment && next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
      return 0;
    const std::size_t size = fragment ? 8 : (octet(packet, at + 1) + 1u) * 8;
    if (end - at < size) return 0;
    next = octet(packet, at);
    at += size;
  }
  return next == IPPROTO_UDP ? at : 0;
}

std::optional<UdpPacket> read_v6(Octets packet) {
  constexpr std::size_t header = 40;
  if (packet.size() < header) return std::nullopt;
  const std::size_t end = header + two_octets(packet, 4);
  if (end > packet.size()) return std::nullopt;
  const std::size_t at = skip_extensions(packet, end);
  if (at == 0) return std::nullopt;
  return read_datagram(v6_at(packet, 8), v6_at(packet, 24), packet.subspan(at, end - at));
}

}  // namespace

std::optional<UdpPacket> read_udp_packet(Octets packet) {
  if (packet.empty()) return std::nullopt;
  switch (octet(packet, 0) >> 4) {
    case 4:
      return read_v4(packet);
    case 6:
      return read_v6(packet);
    default:
      return std::nullopt;
  }
}

}  // namespace sallyport::rules
