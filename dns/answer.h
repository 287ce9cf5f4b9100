// Responses of the proxy's own: to names of the mesh, and refusals. Pure; no allocation.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "agent/core/address.h"
#include "dns/question.h"

namespace sallyport::dns {

inline constexpr uint32_t own_ttl = 30;  // seconds; istio-agent's

struct OwnAnswer {
  // Not empty: the name asked for is an alias of this one, whose the addresses are. Dotted, without
  // the root's dot.
  std::string_view cname;
  std::span<const IpAddress> addresses;  // of the family asked for; none: the name has no such
  uint32_t first = 0;                    // which of them comes first, modulo their number
};

// How many bytes the client takes: what its OPT record says, 512 at least, as istio-agent reads it,
// and limits::dns_proxy_datagram at most; what a length can tell with TCP.
std::size_t answer_limit(const Question& question, bool tcp);

// Writes the response to `query`, of which `question` was read: no more than `limit` bytes, of as
// many records as fit, with TC where that is not all. Returns its size. REQUIRES: `limit` >= 512
// and room for it.
std::size_t write_answer(std::span<const char> query, const Question& question,
                         const OwnAnswer& answer, std::size_t limit, std::span<char> into);

// Of a message that has no answer. `question`: null where it could not be read; then the response
// is a header alone. `code`: one of RFC 1035 or RFC 6891 (16: BADVERS). REQUIRES: a header's 12
// bytes in `query`, and room for 512.
std::size_t write_refusal(std::span<const char> query, const Question* question, uint8_t code,
                          std::span<char> into);

}  // namespace sallyport::dns
