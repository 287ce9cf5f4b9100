#include "iptables/queue/quic_hello.h"

#include "agent/core/limits.h"
#include "agent/sniff/client_hello.h"

namespace sallyport::rules {
namespace {

constexpr std::size_t message_header = 4;  // type, length (RFC 8446 section 4)

}  // namespace

QuicHello::State QuicHello::refuse(const char* why) {
  why_ = why;
  return State::refused;
}

void QuicHello::add_piece(uint64_t offset, std::string_view bytes) {
  if (*why_) return;
  if (offset > limits::quic_hello_bytes || bytes.size() > limits::quic_hello_bytes - offset) {
    why_ = "the ClientHello is too long";
    return;
  }
  const std::size_t end = static_cast<std::size_t>(offset) + bytes.size();
  if (bytes_.size() < end) {
    bytes_.resize(end);
    known_.resize(end);
  }
  for (std::size_t i = 0; i < bytes.size(); i++) {
    const std::size_t at = static_cast<std::size_t>(offset) + i;
    // Which of the two the server takes nobody knows (RFC 9000 section 2.2).
    if (known_[at] && bytes_[at] != bytes[i]) {
      why_ = "CRYPTO frames disagree";
      return;
    }
    bytes_[at] = bytes[i];
    known_[at] = true;
  }
  while (whole_ < known_.size() && known_[whole_]) whole_++;
}

// As a record of TLS, which is what the reader of ClientHellos knows.
QuicHello::State QuicHello::read_whole() {
  if (whole_ < message_header) return State::more;
  const auto byte = [this](std::size_t at) { return static_cast<uint8_t>(bytes_[at]); };
  const std::size_t size =
      message_header + (std::size_t{byte(1)} << 16 | std::size_t{byte(2)} << 8 | byte(3));
  if (size > limits::quic_hello_bytes) return refuse("the ClientHello is too long");
  if (whole_ < size) return State::more;
  std::string record = {0x16, 3, 1, static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
  record.append(bytes_, 0, size);
  const auto hello = sniff::read_client_hello(record, preface_);
  if (hello.state == sniff::HelloState::done) return State::done;
  return refuse(*hello.note ? hello.note : "no ClientHello");
}

QuicHello::State QuicHello::add(std::span<const char> datagram) {
  const auto reading = initials_.read(
      datagram, [this](uint64_t offset, std::string_view bytes) { add_piece(offset, bytes); });
  if (*why_) return State::refused;
  switch (reading) {
    case tls::QuicReading::initial:
      return read_whole();
    case tls::QuicReading::other:
      return State::more;  // 0-RTT data, which may overtake the Initial packet
    case tls::QuicReading::not_quic:
      return State::no_quic;
    case tls::QuicReading::unknown_version:
      return State::unknown;
    case tls::QuicReading::broken:
      return refuse("a broken QUIC packet");
    case tls::QuicReading::too_small:
      return refuse("a QUIC Initial packet in a datagram under 1,200 bytes");
    case tls::QuicReading::two_connections:
      return refuse("QUIC Initial packets of two connections");
    case tls::QuicReading::wrong_tag:
      return refuse("a QUIC packet that does not decrypt");
  }
  return State::refused;
}

}  // namespace sallyport::rules
