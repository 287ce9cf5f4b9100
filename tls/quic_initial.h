// The Initial packets of a QUIC client (RFC 9000 section 17.2.2, RFC 9001 section 5, RFC 9369):
// what protects them is derived from what they show, so that whoever sees them can read the
// ClientHello in their CRYPTO frames. Pure; the datagrams are hostile.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace sallyport::tls {

enum class QuicReading : uint8_t {
  initial,          // at least one Initial packet was read, and all were good
  other,            // QUIC of version 1 or 2, but no Initial packet
  unknown_version,  // a long header of another version (the reserved and greased ones included)
  not_quic,         // no long header
  broken,           // cut short, an impossible length, a frame that an Initial can't have
  wrong_tag,        // it does not decrypt: it was not made from the connection id that it shows
};

// Reads a datagram's Initial packets and calls `crypto` for each CRYPTO frame: its offset in the
// handshake's bytes, and these (valid during the call only). What was found in packets before a bad
// one has been told by then.
QuicReading read_quic_initial(
    std::span<const char> datagram,
    const std::function<void(uint64_t offset, std::string_view bytes)>& crypto);

}  // namespace sallyport::tls
