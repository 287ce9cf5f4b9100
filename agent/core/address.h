// IP addresses, socket addresses and CIDR blocks as small values. No I/O, no name resolution.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport {

// An IPv4 or IPv6 address; an IPv4-mapped one (::ffff:a.b.c.d) becomes IPv4 on the way in.
class IpAddress {
public:
  IpAddress() = default;  // unset
  static std::optional<IpAddress> parse(
      std::string_view text);  // "10.0.0.1", "2001:db8::1"; no brackets, no zone
  static IpAddress v4(uint32_t host_order);
  static IpAddress v6(const in6_addr& bytes);
  bool is_set() const { return family_ != 0; }
  bool is_v4() const { return family_ == AF_INET; }
  bool is_v6() const { return family_ == AF_INET6; }
  bool is_loopback() const;                        // 127.0.0.0/8, ::1
  bool is_unspecified() const;                     // 0.0.0.0, ::
  const uint8_t* bytes() const { return bytes_; }  // 4 or 16 in network order
  std::string text() const;
  char* write(char* to) const;  // At most 45 characters, no NUL. Returns the end.
  bool operator==(const IpAddress&) const = default;
  auto operator<=>(const IpAddress&) const = default;

private:
  friend class Cidr;
  uint8_t family_ = 0;
  uint8_t bytes_[16] = {};
};

// Address and port, as accept() and connect() want them.
class SocketAddress {
public:
  static constexpr std::size_t text_max = 48 + 6;
  SocketAddress() = default;
  SocketAddress(IpAddress ip, uint16_t port) : ip_(ip), port_(port) {}
  static std::optional<SocketAddress> parse(
      std::string_view text);                          // "1.2.3.4:80", "[2001:db8::1]:80"
  static SocketAddress from(const sockaddr* address);  // unset when neither AF_INET nor AF_INET6
  socklen_t fill(sockaddr_storage& storage) const;     // Returns the length for connect/bind.
  const IpAddress& ip() const { return ip_; }
  uint16_t port() const { return port_; }
  bool is_set() const { return ip_.is_set(); }
  std::string text() const;     // "1.2.3.4:80", "[2001:db8::1]:80"; "-" when unset
  char* write(char* to) const;  // At most text_max characters, no NUL. Returns the end.
  bool operator==(const SocketAddress&) const = default;
  auto operator<=>(const SocketAddress&) const = default;

private:
  IpAddress ip_;
  uint16_t port_ = 0;
};

class Cidr {
public:
  static std::optional<Cidr> parse(
      std::string_view text);  // "10.0.0.0/8"; a lone address is /32 or /128
  bool contains(const IpAddress& ip) const;
  const IpAddress& network() const { return network_; }  // host bits cleared
  int prefix() const { return prefix_; }
  bool is_single() const { return prefix_ == (network_.is_v4() ? 32 : 128); }
  std::string text() const;
  bool operator==(const Cidr&) const = default;

private:
  IpAddress network_;
  int prefix_ = 0;
};

struct AddressHash {
  std::size_t operator()(const IpAddress& ip) const noexcept;
  std::size_t operator()(const SocketAddress& address) const noexcept;
};

}  // namespace sallyport
