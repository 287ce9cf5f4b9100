// The Initial packets of a QUIC client (RFC 9000 section 17.2.2, RFC 9001 section 5, RFC 9369):
// what protects them is derived from what they show, so that whoever sees them can read the
// ClientHello in their CRYPTO frames. Pure; the datagrams are hostile.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sallyport::tls {

enum class QuicReading : uint8_t {
  initial,          // at least one Initial packet was read, and all were good
  other,            // QUIC of version 1 or 2, but no Initial packet
  unknown_version,  // a long header of another version (the reserved and greased ones included)
  not_quic,         // no long header
  broken,           // cut short, an impossible length, a frame that an Initial can't have
  too_small,        // a datagram with an Initial that no server takes (RFC 9000 section 14.1)
  wrong_tag,        // it does not decrypt: it was not made from the connection id that it shows
  two_connections,  // an Initial of another connection than the one that was read before
};

// The Initial packets that one client sends before it has heard from its server: all are of one
// version, to one connection id, which the first one shows.
class QuicInitials {
public:
  // Reads the next datagram's Initial packets and calls `crypto` for each CRYPTO frame: its offset
  // in the handshake's bytes, and these (valid during the call only). What was found in packets
  // before a bad one has been told by then.
  QuicReading read(std::span<const char> datagram,
                   const std::function<void(uint64_t offset, std::string_view bytes)>& crypto);

private:
  struct Connection {
    uint32_t version;
    std::string id;
    std::array<uint8_t, 16> key, header_key;
    std::array<uint8_t, 12> iv;
  };
  struct Packet;
  QuicReading read_packet(
      std::span<const char> whole, const Packet& packet,
      const std::function<void(uint64_t offset, std::string_view bytes)>& crypto);
  static std::optional<Connection> connection_of(const Packet& packet);

  std::optional<Connection> connection_;
};

}  // namespace sallyport::tls
