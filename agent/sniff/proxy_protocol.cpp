#include "agent/sniff/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <charconv>
#include <cstring>
#include <optional>

#include "agent/core/ascii.h"
#include "agent/core/limits.h"

namespace sallyport::sniff {
namespace {

constexpr std::string_view v1_start = "PROXY ";
constexpr std::size_t v1_size_max = 107;  // with CRLF; section 2.1
constexpr std::string_view v2_signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t v2_fixed_size = 16;  // signature, version and command, family, length
constexpr std::size_t tlv_head_size = 3;
constexpr uint8_t crc32c_tlv = 3;  // PP2_TYPE_CRC32C
constexpr std::size_t crc32c_size = 4;

enum Command : uint8_t { local_command = 0, proxy_command = 1 };
enum Family : uint8_t { unspec_family = 0, inet_family = 1, inet6_family = 2, unix_family = 3 };
enum Transport : uint8_t { unspec_transport = 0, stream_transport = 1, dgram_transport = 2 };
constexpr std::array<std::size_t, 4> address_block_sizes = {0, 12, 36, 216};  // by family

ProxyHeader refuse_header(const char* reason) {
  ProxyHeader out;
  out.state = ProxyState::refused;
  out.reason = reason;
  return out;
}

ProxyHeader decide_header(uint8_t version, std::size_t size) {
  ProxyHeader out;
  out.state = ProxyState::decided;
  out.version = version;
  out.size = size;
  return out;
}

uint8_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<uint8_t>(bytes[at]); }

uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

bool begins_like(std::string_view bytes, std::string_view start) {
  return start.starts_with(bytes.substr(0, start.size()));
}

// What stands before the next blank; nullopt when that is nothing.
std::optional<std::string_view> take_word(std::string_view& line) {
  const auto blank = line.find(' ');
  const auto word = line.substr(0, blank);
  line.remove_prefix(blank == line.npos ? line.size() : blank + 1);
  return word.empty() ? std::nullopt : std::optional(word);
}

// Decimal, 0 to 65535, without zeros before it.
std::optional<uint16_t> parse_v1_port(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return {};
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [at, failure] = std::from_chars(text.data(), end, port);
  return failure == std::errc() && at == end ? std::optional(port) : std::nullopt;
}

std::optional<IpAddress> parse_v1_address(std::string_view text, bool is_v6) {
  // By its form: an IPv4-mapped one is written as IPv6 and read as IPv4.
  if ((text.find(':') != text.npos) != is_v6) return {};
  return IpAddress::parse(text);
}

// "192.168.0.1 192.168.0.11 56324 443": what follows the protocol.
bool read_v1_addresses(std::string_view line, bool is_v6, ProxyHeader& out) {
  // A blank at the end begins a word that is not there.
  if (line.ends_with(' ')) return false;
  std::array<std::string_view, 4> words;
  for (auto& word : words) {
    const auto taken = take_word(line);
    if (!taken) return false;
    word = *taken;
  }
  const auto from = parse_v1_address(words[0], is_v6), to = parse_v1_address(words[1], is_v6);
  const auto from_port = parse_v1_port(words[2]), to_port = parse_v1_port(words[3]);
  if (!line.empty() || !from || !to || !from_port || !to_port) return false;
  out.source = SocketAddress(*from, *from_port);
  out.destination = SocketAddress(*to, *to_port);
  return true;
}

// `line`: without CRLF.
ProxyHeader read_v1_line(std::string_view line) {
  auto out = decide_header(1, line.size() + 2);
  line.remove_prefix(v1_start.size());
  // "The receiver must ignore anything presented before the CRLF" (section 2.1).
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return out;
  const bool is_v6 = line.starts_with("TCP6 ");
  if (!is_v6 && !line.starts_with("TCP4 "))
    return refuse_header("PROXY protocol header of an unknown protocol");
  if (!read_v1_addresses(line.substr(5), is_v6, out))
    return refuse_header("PROXY protocol header with malformed addresses");
  return out;
}

ProxyHeader read_v1(std::string_view bytes) {
  const auto line = bytes.substr(0, v1_size_max);
  const auto end = line.find_first_of("\r\n");
  if (end == line.npos)
    return line.size() < v1_size_max ? ProxyHeader()
                                     : refuse_header("PROXY protocol header longer than 107 bytes");
  if (line[end] == '\r' && end + 1 == line.size() && line.size() < v1_size_max)
    return ProxyHeader();
  if (!line.substr(end).starts_with("\r\n"))
    return refuse_header("PROXY protocol header that does not end in CRLF");
  return read_v1_line(line.substr(0, end));
}

// The checksum of the whole header with zeros in its own place (section 2.2.3, RFC 4960 appendix
// B); `at` is that place.
uint32_t crc32c_of(std::string_view header, std::size_t at) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  constexpr std::array<char, crc32c_size> zeros{};
  crc.process_bytes(header.data(), at);
  crc.process_bytes(zeros.data(), zeros.size());
  crc.process_bytes(header.data() + at + crc32c_size, header.size() - at - crc32c_size);
  return crc.checksum();
}

// The TLVs of `header` from `at` to its end. Null when nothing is wrong with them.
const char* check_tlvs(std::string_view header, std::size_t at) {
  bool checked = false;
  while (at != header.size()) {
    if (header.size() - at < tlv_head_size) return "PROXY protocol header with a TLV cut short";
    const std::size_t value = at + tlv_head_size, size = number_at(header, at + 1);
    if (size > header.size() - value) return "PROXY protocol header with a TLV cut short";
    if (byte_at(header, at) == crc32c_tlv) {
      if (checked || size != crc32c_size) return "PROXY protocol header with a malformed CRC32C";
      checked = true;
      const uint32_t given =
          uint32_t{number_at(header, value)} << 16 | number_at(header, value + 2);
      if (given != crc32c_of(header, value)) return "PROXY protocol header with a wrong CRC32C";
    }
    at = value + size;
  }
  return nullptr;
}

IpAddress ip_at(std::string_view bytes, std::size_t at, Family family) {
  if (family == inet_family)
    return IpAddress::v4(uint32_t{number_at(bytes, at)} << 16 | number_at(bytes, at + 2));
  in6_addr six;
  std::memcpy(&six, bytes.data() + at, sizeof six);
  return IpAddress::v6(six);
}

void read_v2_addresses(std::string_view header, Family family, ProxyHeader& out) {
  const std::size_t ip_size = family == inet_family ? 4 : 16;
  const std::size_t ports = v2_fixed_size + 2 * ip_size;
  out.source = SocketAddress(ip_at(header, v2_fixed_size, family), number_at(header, ports));
  out.destination =
      SocketAddress(ip_at(header, v2_fixed_size + ip_size, family), number_at(header, ports + 2));
}

// `header`: all of it.
ProxyHeader read_v2_whole(std::string_view header) {
  auto out = decide_header(2, header.size());
  if ((byte_at(header, 12) & 15) == local_command) return out;  // the rest is to be ignored
  const auto family = static_cast<Family>(byte_at(header, 13) >> 4);
  const auto transport = static_cast<Transport>(byte_at(header, 13) & 15);
  if (family == unspec_family || transport == unspec_transport) return out;
  const std::size_t addresses = address_block_sizes[family];
  if (header.size() - v2_fixed_size < addresses)
    return refuse_header("PROXY protocol header too short for its addresses");
  if (const char* const wrong = check_tlvs(header, v2_fixed_size + addresses))
    return refuse_header(wrong);
  if (family != unix_family && transport == stream_transport)
    read_v2_addresses(header, family, out);
  return out;
}

ProxyHeader read_v2(std::string_view bytes) {
  if (bytes.size() < 13) return ProxyHeader();
  const uint8_t command = byte_at(bytes, 12) & 15;
  if (byte_at(bytes, 12) >> 4 != 2) return refuse_header("PROXY protocol of an unknown version");
  if (command != local_command && command != proxy_command)
    return refuse_header("PROXY protocol header with an unknown command");
  if (bytes.size() < 14) return ProxyHeader();
  const uint8_t family = byte_at(bytes, 13);
  if (command == proxy_command && (family >> 4 > unix_family || (family & 15) > dgram_transport))
    return refuse_header("PROXY protocol header of an unknown protocol");
  if (bytes.size() < v2_fixed_size) return ProxyHeader();
  const std::size_t size = v2_fixed_size + number_at(bytes, 14);
  if (size > limits::proxy_header_bytes)
    return refuse_header("PROXY protocol header longer than 4 KiB");
  return bytes.size() < size ? ProxyHeader() : read_v2_whole(bytes.substr(0, size));
}

// Whether there is an IP family that both are of.
bool of_one_family(const SocketAddress& a, const SocketAddress& b) {
  return a.ip().is_set() && a.family() == b.family();
}

void append_number(std::string& to, uint16_t number) {
  to += static_cast<char>(number >> 8);
  to += static_cast<char>(number & 255);
}

}  // namespace

ProxyHeader read_proxy_header(std::string_view bytes) {
  if (begins_like(bytes, v1_start))
    return bytes.size() < v1_start.size() ? ProxyHeader() : read_v1(bytes);
  if (begins_like(bytes, v2_signature)) return read_v2(bytes);
  return refuse_header("no PROXY protocol header");
}

std::string proxy_header_v1(const SocketAddress& source, const SocketAddress& destination) {
  if (!of_one_family(source, destination)) return "PROXY UNKNOWN\r\n";
  std::string out(source.ip().is_v4() ? "PROXY TCP4 " : "PROXY TCP6 ");
  out.append(source.ip().text()).append(" ").append(destination.ip().text());
  out.append(" ").append(std::to_string(source.port()));
  return out.append(" ").append(std::to_string(destination.port())).append("\r\n");
}

std::string proxy_header_v2(const SocketAddress& source, const SocketAddress& destination) {
  const bool known = of_one_family(source, destination);
  const Family family = !known ? unspec_family : source.ip().is_v4() ? inet_family : inet6_family;
  std::string out(v2_signature);
  out += static_cast<char>(2 << 4 | proxy_command);
  out += static_cast<char>(family << 4 | (known ? stream_transport : unspec_transport));
  append_number(out, static_cast<uint16_t>(address_block_sizes[family]));
  if (!known) return out;
  const std::size_t ip_size = family == inet_family ? 4 : 16;
  for (const auto* address : {&source, &destination})
    out.append(reinterpret_cast<const char*>(address->ip().bytes()), ip_size);
  append_number(out, source.port());
  append_number(out, destination.port());
  return out;
}

std::string proxy_header_v2_local() {
  std::string out(v2_signature);
  out += static_cast<char>(2 << 4 | local_command);
  out += static_cast<char>(unspec_family << 4 | unspec_transport);
  append_number(out, 0);
  return out;
}

}  // namespace sallyport::sniff
