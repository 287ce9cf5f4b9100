// Reads the addresses out of a DNS response (RFC 1035 section 4) that c-ares has matched to its
// query by id, question and server. Pure; every length and count in the message is hostile.
//
// Only records of the asked name, or of the end of the CNAME chain that starts there, count: what a
// server says about other names is nobody's answer.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::dns {

enum class Family : uint8_t { v4, v6 };

struct Records {
  std::vector<IpAddress>
      addresses;                // as answered, without repetitions; at most limits::dns_addresses
  std::chrono::seconds ttl{0};  // the smallest of the addresses and of the CNAMEs that led to them
  bool cut = false;             // there were more than limits::dns_addresses
};

// `host`: as asked, without trailing dot. No addresses in the result: the name exists without any
// of this family. Errors: Fault::protocol for a message that is cut short, counts more than it
// holds, or answers for others only.
Result<Records> read_addresses(std::span<const unsigned char> message, std::string_view host,
                               Family family);

// How long a denial (no such name, no such record) holds: the smaller of its SOA's TTL and MINIMUM
// (RFC 2308 section 5). nullopt: it has no SOA, or can't be read.
std::optional<std::chrono::seconds> denial_ttl(std::span<const unsigned char> message);

}  // namespace sallyport::dns
