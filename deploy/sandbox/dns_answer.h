// A DNS message in, a DNS message out: the names a sandbox knows, and NXDOMAIN for all others.
// Pure; nothing is forwarded.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/core/address.h"

namespace sallyport::sandbox {

struct DnsName {
  enum class Behaviour : uint8_t {
    answers,
    server_fails,
    silent
  };  // the last two: for tests of resolvers
  Behaviour behaviour = Behaviour::answers;
  std::vector<IpAddress> addresses;
  std::string alias;         // ExternalName: a CNAME, followed where the zone knows the target
  uint32_t ttl_seconds = 5;  // CoreDNS's default for cluster names
};

// Lower case, no final dot → what is known. A key "*.example.org" holds for every name below
// example.org.
using DnsZone = std::map<std::string, DnsName>;

inline constexpr std::size_t dns_udp_bytes = 512;  // without EDNS (RFC 1035)
inline constexpr std::size_t dns_tcp_bytes = 65535;

// The answer, at most `limit` bytes (or the size EDNS names, when larger and over UDP); cut short
// with TC set when it doesn't fit. Nothing: the query is no query, or the zone says to stay silent.
std::optional<std::vector<uint8_t>> dns_answer(std::span<const uint8_t> query, const DnsZone& zone,
                                               std::size_t limit);

}  // namespace sallyport::sandbox
