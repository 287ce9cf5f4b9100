#include "agent/core/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <set>

#include "agent/core/limits.h"

namespace sallyport {
namespace {

// A decimal number without sign, blanks or a leading zero, as ports and prefix lengths are written.
std::optional<uint32_t> parse_number(std::string_view text, uint32_t max) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return {};
  uint32_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value > max) return {};
  return value;
}

// FNV-1a, then a finalizer: unordered_map takes the low bits and addresses of one block differ in
// few.
std::size_t hash_bytes(const uint8_t* bytes, std::size_t size, uint64_t seed) {
  uint64_t hash = 14695981039346656037ULL ^ seed;
  for (std::size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 1099511628211ULL;
  hash ^= hash >> 32;
  return hash * 0x9e3779b97f4a7c15ULL >> 1;
}

// The one copy of a path: equal paths have equal places. Never given back, so that an address may
// be logged long after the configuration that named it. Null: there are too many.
const std::string* kept_path(std::string_view path) {
  static std::mutex mutex;
  static auto& paths = *new std::set<std::string, std::less<>>;
  const std::lock_guard lock(mutex);
  if (const auto known = paths.find(path); known != paths.end()) return &*known;
  if (paths.size() >= limits::unix_sockets) return nullptr;
  return &*paths.emplace(path).first;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof terminated || text.find('\0') != text.npos) return {};
  *std::copy(text.begin(), text.end(), terminated) = 0;
  in_addr four;
  if (inet_pton(AF_INET, terminated, &four) == 1) return v4(ntohl(four.s_addr));
  in6_addr six;
  if (inet_pton(AF_INET6, terminated, &six) == 1) return v6(six);
  return {};
}

IpAddress IpAddress::v4(uint32_t host_order) {
  IpAddress out;
  out.family_ = AF_INET;
  const uint32_t network_order = htonl(host_order);
  std::memcpy(out.bytes_, &network_order, sizeof network_order);
  return out;
}

IpAddress IpAddress::v6(const in6_addr& bytes) {
  IpAddress out;
  if (IN6_IS_ADDR_V4MAPPED(&bytes)) {
    out.family_ = AF_INET;
    std::memcpy(out.bytes_, bytes.s6_addr + 12, 4);
  } else {
    out.family_ = AF_INET6;
    std::memcpy(out.bytes_, bytes.s6_addr, 16);
  }
  return out;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return is_v6() && std::memcmp(bytes_, &in6addr_loopback, 16) == 0;
}

bool IpAddress::is_unspecified() const {
  return is_set() && std::all_of(bytes_, bytes_ + 16, [](uint8_t byte) { return byte == 0; });
}

std::string IpAddress::text() const {
  char room[INET6_ADDRSTRLEN];
  return std::string(room, write(room));
}

char* IpAddress::write(char* to) const {
  if (is_v4()) {
    for (int i = 0; i < 4; i++) {
      if (i > 0) *to++ = '.';
      to = std::to_chars(to, to + 3, unsigned{bytes_[i]}).ptr;
    }
    return to;
  }
  if (is_v6()) {
    char room[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, bytes_, room, sizeof room);
    return std::copy(room, room + std::strlen(room), to);
  }
  *to++ = '-';
  return to;
}

std::optional<SocketAddress> SocketAddress::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return {};
  auto host = text.substr(0, colon);
  const auto port = parse_number(text.substr(colon + 1), 65535);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // Without brackets "2001:db8::1:80" would be read two ways.
  if (!port || bracketed != (host.find(':') != host.npos)) return {};
  const auto ip = IpAddress::parse(host);
  if (!ip) return {};
  return SocketAddress(*ip, static_cast<uint16_t>(*port));
}

SocketAddress SocketAddress::from(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    return {IpAddress::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof in);
    return {IpAddress::v6(in.sin6_addr), ntohs(in.sin6_port)};
  }
  return {};
}

bool SocketAddress::is_path(std::string_view path) {
  static_assert(path_max + 1 == sizeof(sockaddr_un::sun_path));
  return path.size() > 1 && path.size() <= path_max && path.find('\0') == path.npos &&
         (path.front() == '/' || path.front() == '@');
}

std::optional<SocketAddress> SocketAddress::unix_socket(std::string_view path) {
  const std::string* const kept = is_path(path) ? kept_path(path) : nullptr;
  if (!kept) return {};
  SocketAddress out;
  out.ip_.family_ = AF_UNIX;
  const auto at = reinterpret_cast<std::uintptr_t>(kept);
  std::memcpy(out.ip_.bytes_, &at, sizeof at);
  return out;
}

std::string_view SocketAddress::path() const {
  if (!is_unix()) return {};
  std::uintptr_t at = 0;
  std::memcpy(&at, ip_.bytes_, sizeof at);
  return *reinterpret_cast<const std::string*>(at);
}

socklen_t SocketAddress::fill(sockaddr_storage& storage) const {
  std::memset(&storage, 0, sizeof storage);
  if (is_unix()) {
    const auto name = path();
    auto& un = reinterpret_cast<sockaddr_un&>(storage);
    un.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), un.sun_path);
    const bool abstract = name.front() == '@';  // unix(7): a NUL in its place, none at the end
    if (abstract) un.sun_path[0] = 0;
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + !abstract);
  }
  if (ip_.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port_);
    std::memcpy(&in.sin_addr, ip_.bytes(), 4);
    std::memcpy(&storage, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port_);
  std::memcpy(&in.sin6_addr, ip_.bytes(), 16);
  std::memcpy(&storage, &in, sizeof in);
  return sizeof in;
}

std::string SocketAddress::text() const {
  char room[text_max];
  return std::string(room, write(room));
}

char* SocketAddress::write(char* to) const {
  if (!is_set()) {
    *to++ = '-';
    return to;
  }
  if (is_unix()) {
    for (const char c : path()) {
      const auto byte = static_cast<unsigned char>(c);
      *to++ = byte < 0x20 || byte == 0x7f || c == '"' || c == '\\' ? '_' : c;
    }
    return to;
  }
  if (ip_.is_v6()) *to++ = '[';
  to = ip_.write(to);
  if (ip_.is_v6()) *to++ = ']';
  *to++ = ':';
  return std::to_chars(to, to + 5, port_).ptr;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip) return {};
  // "::ffff:10.0.0.0/104" has become IPv4 by now: its prefix would be read against the wrong
  // length.
  if (ip->is_v4() && text.find(':') != text.npos) return {};
  const int width = ip->is_v4() ? 32 : 128;
  Cidr out;
  out.network_ = *ip;
  out.prefix_ = width;
  if (slash != text.npos) {
    const auto prefix = parse_number(text.substr(slash + 1), static_cast<uint32_t>(width));
    if (!prefix) return {};
    out.prefix_ = static_cast<int>(*prefix);
  }
  for (int bit = out.prefix_; bit < width; bit++) {
    out.network_.bytes_[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
  }
  return out;
}

bool Cidr::contains(const IpAddress& ip) const {
  if (ip.family_ != network_.family_) return false;
  const int whole = prefix_ / 8;
  if (std::memcmp(ip.bytes_, network_.bytes_, static_cast<std::size_t>(whole)) != 0) return false;
  const int rest = prefix_ % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00 >> rest);
  return (ip.bytes_[whole] & mask) == network_.bytes_[whole];
}

std::string Cidr::text() const { return network_.text() + "/" + std::to_string(prefix_); }

std::size_t AddressHash::operator()(const IpAddress& ip) const noexcept {
  return hash_bytes(ip.bytes(), ip.is_v4() ? 4 : 16, 0);
}

std::size_t AddressHash::operator()(const SocketAddress& address) const noexcept {
  return hash_bytes(address.ip().bytes(), address.ip().is_v4() ? 4 : 16, address.port() + 1ULL);
}

}  // namespace sallyport
