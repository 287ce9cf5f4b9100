// IP addresses, socket addresses and CIDR blocks as small values. No I/O, no name resolution.
//
// Threading: any; the paths of unix sockets are kept in one table for the whole process.
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
  bool is_set() const { return is_v4() || is_v6(); }
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
  friend class SocketAddress;
  uint8_t family_ = 0;
  uint8_t bytes_[16] = {};
};

// Address and port, or a unix socket, as accept() and connect() want them.
class SocketAddress {
public:
  static constexpr std::size_t path_max = 107;  // bytes: sun_path (unix(7)) without its NUL
  static constexpr std::size_t text_max = path_max;
  SocketAddress() = default;
  SocketAddress(IpAddress ip, uint16_t port) : ip_(ip), port_(port) {}
  static std::optional<SocketAddress> parse(
      std::string_view text);                          // "1.2.3.4:80", "[2001:db8::1]:80"
  static SocketAddress from(const sockaddr* address);  // unset when neither AF_INET nor AF_INET6
  // "/run/x.sock", or "@name" for one of the abstract namespace. nullopt where is_path() says no,
  // or when the process has known limits::unix_sockets others: what is known once is kept, so that
  // an address stays a small value without an owner.
  static std::optional<SocketAddress> unix_socket(std::string_view path);
  static bool is_path(std::string_view path);       // that a unix socket can have
  socklen_t fill(sockaddr_storage& storage) const;  // Returns the length for connect/bind.
  const IpAddress& ip() const { return ip_; }       // unset for a unix socket
  uint16_t port() const { return port_; }           // 0 for a unix socket
  int family() const { return ip_.family_; }        // AF_INET, AF_INET6, AF_UNIX; 0 when unset
  bool is_unix() const { return ip_.family_ == AF_UNIX; }
  std::string_view path() const;  // of a unix socket, as it was given; else empty. Never ends.
  bool is_set() const { return ip_.family_ != 0; }
  // "1.2.3.4:80", "[2001:db8::1]:80", "/run/x.sock"; "-" when unset. What could break a line or a
  // quote is "_".
  std::string text() const;
  char* write(char* to) const;  // At most text_max characters, no NUL. Returns the end.
  bool operator==(const SocketAddress&) const = default;
  auto operator<=>(const SocketAddress&) const = default;

private:
  IpAddress ip_;  // of a unix socket: family AF_UNIX, and where its path is kept
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
