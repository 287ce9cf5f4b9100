// The sandbox's DNS server: dns_answer over UDP and TCP, port 53 of the node's DNS addresses.
// Threading: the loop's.
#pragma once
#include <map>
#include <memory>

#include "deploy/sandbox/dns_answer.h"
#include "deploy/sandbox/event_loop.h"

namespace sallyport::sandbox {

class DnsServer {
public:
  static constexpr std::size_t connections_max = 64;
  explicit DnsServer(EventLoop& loop) : loop_(loop) {}
  DnsServer(const DnsServer&) = delete;
  Result<void> listen(const IpAddress& ip);
  void use(DnsZone zone) { zone_ = std::move(zone); }

private:
  struct Connection {
    UniqueFd fd;
    std::vector<uint8_t> bytes;
  };
  void answer_datagrams(int fd);
  void accept_from(int fd);
  bool read_from(Connection& connection);  // false: it is over

  EventLoop& loop_;
  DnsZone zone_;
  std::vector<UniqueFd> sockets_;
  std::map<int, Connection> connections_;
};

}  // namespace sallyport::sandbox
