// The PROXY protocol: what a load balancer writes before the bytes of a client, so that whoever
// gets them knows the client's address. Versions 1 (text) and 2 (binary) of haproxy's
// proxy-protocol.txt, whose sections are named here.
//
// Only where the configuration says that every connection begins with it: a client that could
// choose would choose its own address (section 5). Pure functions, any thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/core/address.h"

namespace sallyport::sniff {

enum class ProxyState : uint8_t {
  more,     // so far it could be a header: read on
  decided,  // `size` bytes are the header, what follows is the client's
  refused,  // `reason` says why; the connection is to be closed
};

struct ProxyHeader {
  ProxyState state = ProxyState::more;
  uint8_t version = 0;   // decided: 1 or 2
  std::size_t size = 0;  // decided: bytes, at most limits::proxy_header_bytes
  // Of the client's connection to the load balancer. Both unset where the header names none that
  // count for TCP (LOCAL, UNKNOWN, UNSPEC, unix sockets, UDP): then the connection's own hold.
  SocketAddress source, destination;
  const char* reason = "";  // refused
};

// `bytes`: all that was read so far, from the connection's first one. More bytes never change a
// verdict. Time is linear in the header's bytes, and without a verdict no more than
// limits::proxy_header_bytes are asked for. A CRC32C, where there is one, is checked; other TLVs
// are read over.
ProxyHeader read_proxy_header(std::string_view bytes);

// Headers for an upstream that wants to know the client's connection. Where the two addresses are
// not both IPv4 or both IPv6 they say UNKNOWN (version 1) or UNSPEC (version 2).
std::string proxy_header_v1(const SocketAddress& source, const SocketAddress& destination);
std::string proxy_header_v2(const SocketAddress& source, const SocketAddress& destination);
std::string proxy_header_v2_local();  // LOCAL: a connection of the sender's own, for no client

}  // namespace sallyport::sniff
