// What a server sent for a question that was forwarded. It is hostile: cut short, forged, with
// counts that lie. Pure; every walk ends after limits::dns_records records.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "agent/core/address.h"
#include "dns/question.h"

namespace sallyport::dns {

// Whether it responds to `query` as it was sent, with `id`: a response to the same question
// (RFC 5452 section 9.1), ASCII case aside. One that tells of a failure may have no question.
bool answers(std::span<const char> response, uint16_t id, std::span<const char> query,
             const Question& question);

struct ResponseFacts {
  uint8_t rcode = 0;  // without EDNS' upper bits
  bool truncated = false;
  // For how many seconds it may be kept: the smallest TTL of its answers, or what the SOA of a
  // denial says (RFC 2308 section 5), but no longer than limits::dns_negative_ttl_max. nullopt: not
  // at all, as it is cut, malformed, no denial with an SOA, or tells of a failure.
  std::optional<uint32_t> ttl;
};
// REQUIRES: answers() said yes.
ResponseFacts read_response(std::span<const char> response);

// Cuts a response that is longer than `limit` to its question, the first answers that fit, and its
// OPT record, with TC: there are clients that know neither EDNS nor TCP. Returns the new size.
std::size_t fit(std::span<char> response, std::size_t limit);

// For a response that is kept: its addresses of the type asked for in another order, so that each
// is the first in its turn, and without AA, which only the server itself may say.
void rotate(std::span<char> response, uint32_t by);

// The addresses among its answers, at most limits::dns_addresses.
std::vector<IpAddress> addresses_in(std::span<const char> response);

// Takes `seconds` off every TTL.
void age(std::span<char> response, uint32_t seconds);

// Makes a response to the same question one to `query`: its id, its flags RD and CD, its letters'
// case. REQUIRES: answers() said yes, case and id aside.
void readdress(std::span<char> response, std::span<const char> query, const Question& question);

}  // namespace sallyport::dns
