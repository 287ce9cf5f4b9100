// The UDP flows that are being looked at. A flow's datagrams wait, in the kernel, until it is known
// what it is: at once for what is no QUIC, with the whole ClientHello for what is. Until then its
// server has nothing of it.
//
// Limits: limits::udp_held_*, udp_hold_time.
#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/mesh/decide_udp.h"
#include "iptables/queue/netfilter_queue.h"
#include "iptables/queue/quic_hello.h"
#include "iptables/queue/udp_packet.h"

namespace sallyport::rules {

// A flow that is known now.
struct ReadFlow {
  SocketAddress source, destination;
  mesh::UdpFlow::Kind kind = mesh::UdpFlow::Kind::other;
  std::string sni;                // lower case
  std::string_view why;           // of an unread one: what could not be read; lives for ever
  std::vector<Queued> datagrams;  // as they came
};

class UdpFlows {
public:
  using Time = std::chrono::steady_clock::time_point;
  // The next datagram. nullopt: it waits for the rest of its flow.
  std::optional<ReadFlow> add(Queued datagram, const UdpPacket& packet, Time now);
  // Those that have waited for too long, as unread ones.
  std::vector<ReadFlow> overdue(Time now);
  std::size_t held() const { return held_.size(); }

private:
  using Ends = std::pair<SocketAddress, SocketAddress>;
  struct Held {
    QuicHello hello;
    std::vector<Queued> datagrams;
    Time since;
  };
  std::map<Ends, Held> held_;
};

}  // namespace sallyport::rules
