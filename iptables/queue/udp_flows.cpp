#include "iptables/queue/udp_flows.h"

#include "agent/core/limits.h"

namespace sallyport::rules {
namespace {

using Kind = mesh::UdpFlow::Kind;

ReadFlow unread(const SocketAddress& source, const SocketAddress& destination,
                std::vector<Queued> datagrams, std::string_view why) {
  return {source, destination, Kind::unread, {}, why, std::move(datagrams)};
}

}  // namespace

std::optional<ReadFlow> UdpFlows::add(Queued datagram, const UdpPacket& packet, Time now) {
  const auto found = held_.find({packet.source, packet.destination});
  const bool first = found == held_.end();
  Held flow = first ? Held{{}, {}, now} : std::move(found->second);
  if (!first) held_.erase(found);
  flow.datagrams.push_back(datagram);
  const auto as_unread = [&](std::string_view why) {
    return unread(packet.source, packet.destination, std::move(flow.datagrams), why);
  };
  switch (flow.hello.add(packet.payload)) {
    case QuicHello::State::done:
      return ReadFlow{packet.source,
                      packet.destination,
                      Kind::quic,
                      flow.hello.preface().sni,
                      {},
                      std::move(flow.datagrams)};
    case QuicHello::State::refused:
      return as_unread(flow.hello.why());
    case QuicHello::State::unknown:
      return as_unread("QUIC of an unknown version");
    case QuicHello::State::no_quic:
      if (!first) return as_unread("a QUIC flow without a whole ClientHello");
      return ReadFlow{packet.source, packet.destination, Kind::other, {}, {}, {datagram}};
    case QuicHello::State::more:
      break;
  }
  if (flow.datagrams.size() >= limits::udp_held_datagrams)
    return as_unread("a QUIC ClientHello over too many datagrams");
  if (held_.size() >= limits::udp_held_flows) return as_unread("too many QUIC flows at once");
  held_.emplace(Ends{packet.source, packet.destination}, std::move(flow));
  return std::nullopt;
}

std::vector<ReadFlow> UdpFlows::overdue(Time now) {
  std::vector<ReadFlow> out;
  for (auto one = held_.begin(); one != held_.end();) {
    if (now - one->second.since < limits::udp_hold_time) {
      ++one;
      continue;
    }
    out.push_back(unread(one->first.first, one->first.second, std::move(one->second.datagrams),
                         "a QUIC ClientHello whose rest did not come"));
    one = held_.erase(one);
  }
  return out;
}

}  // namespace sallyport::rules
