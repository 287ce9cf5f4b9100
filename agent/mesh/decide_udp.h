// Whether the application may send UDP somewhere: what the sidecar can't take part in must not be a
// way round what it would do with TCP (--udp-policy; not in Istio, which lets UDP pass by). Pure.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/mesh/host_table.h"
#include "agent/mesh/snapshot.h"

namespace sallyport::mesh {

struct KnownService;

// The UDP ports that Services and ServiceEntries declare: who asks for them is let through.
struct UdpTable {
  struct Block {
    Cidr block;
    uint16_t port = 0;
    ResourceRefPtr from;
    bool operator==(const Block&) const = default;
  };
  // The addresses of services, and those of their endpoints that are no names.
  std::unordered_map<SocketAddress, ResourceRefPtr, AddressHash> by_address;
  std::vector<Block> blocks;
  std::unordered_map<uint16_t, HostTable<ResourceRefPtr>> by_host;  // for QUIC's SNI
  bool operator==(const UdpTable&) const = default;
};
UdpTable compile_udp(const std::vector<KnownService>& services);

// What a flow's first datagrams were.
struct UdpFlow {
  enum class Kind : uint8_t {
    quic,    // a ClientHello was read; `sni` may be empty
    unread,  // QUIC of an unknown version, or what looks like it and is broken
    other,
  };
  SocketAddress destination;
  Kind kind = Kind::other;
  std::string_view sni;  // lower case
};

struct UdpPlan {
  bool allowed = true;
  std::string_view why;  // one sentence; lives for ever
  ResourceRefPtr from;   // the resource that decided; null: the mesh's outbound policy, or none
  ClusterPtr cluster;    // of TCP to there, for the log; null: a UDP port's, which has none
};
// REQUIRES: snapshot.udp.
UdpPlan decide_udp(const Snapshot& snapshot, const UdpFlow& flow);

}  // namespace sallyport::mesh
