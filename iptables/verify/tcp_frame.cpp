#include "iptables/verify/tcp_frame.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

namespace sallyport::rules {
namespace {

constexpr std::size_t tcp_bytes = 20;

class BytesWriter {
public:
  void bytes(const uint8_t* from, std::size_t size) { out_.insert(out_.end(), from, from + size); }
  void u8(unsigned value) { out_.push_back(static_cast<uint8_t>(value)); }
  void u16(unsigned value) {
    u8(value >> 8);
    u8(value);
  }
  void u32(uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void address(const IpAddress& ip) { bytes(ip.bytes(), ip.is_v4() ? 4 : 16); }
  void set_u16(std::size_t at, uint16_t value) {
    out_[at] = static_cast<uint8_t>(value >> 8);
    out_[at + 1] = static_cast<uint8_t>(value);
  }
  std::vector<uint8_t>& out() { return out_; }

private:
  std::vector<uint8_t> out_;
};

// RFC 1071; of an even number of bytes.
uint16_t internet_checksum(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
    sum += static_cast<uint32_t>(bytes[i]) << 8 | bytes[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::vector<uint8_t> tcp_header(const TcpSegment& segment) {
  BytesWriter tcp;
  tcp.u16(segment.from.port());
  tcp.u16(segment.to.port());
  tcp.u32(segment.sequence);
  tcp.u32(0);  // nothing acknowledged
  tcp.u8(tcp_bytes / 4 << 4);
  tcp.u8(segment.flags);
  tcp.u16(65535);  // window
  tcp.u32(0);      // checksum, urgent pointer
  BytesWriter summed;
  summed.address(segment.from.ip());
  summed.address(segment.to.ip());
  summed.u16(IPPROTO_TCP);
  summed.u16(tcp_bytes);
  summed.bytes(tcp.out().data(), tcp.out().size());
  tcp.set_u16(16, internet_checksum(summed.out()));
  return std::move(tcp.out());
}

std::vector<uint8_t> ip_header(const TcpSegment& segment) {
  BytesWriter ip;
  if (segment.from.ip().is_v4()) {
    ip.u16(0x4500);  // version, five words, no special service
    ip.u16(20 + tcp_bytes);
    ip.u32(0x4000);  // no identification, not to be fragmented
    ip.u16(64 << 8 | IPPROTO_TCP);
    ip.u16(0);
  } else {
    ip.u32(0x60000000);
    ip.u16(tcp_bytes);
    ip.u16(IPPROTO_TCP << 8 | 64);
  }
  ip.address(segment.from.ip());
  ip.address(segment.to.ip());
  if (segment.from.ip().is_v4()) ip.set_u16(10, internet_checksum(ip.out()));
  return std::move(ip.out());
}

}  // namespace

std::vector<uint8_t> tcp_frame(const HardwareAddress& from, const HardwareAddress& to,
                               const TcpSegment& segment) {
  BytesWriter frame;
  frame.bytes(to.data(), to.size());
  frame.bytes(from.data(), from.size());
  frame.u16(segment.from.ip().is_v4() ? ETH_P_IP : ETH_P_IPV6);
  const auto ip = ip_header(segment), tcp = tcp_header(segment);
  frame.bytes(ip.data(), ip.size());
  frame.bytes(tcp.data(), tcp.size());
  return std::move(frame.out());
}

}  // namespace sallyport::rules
