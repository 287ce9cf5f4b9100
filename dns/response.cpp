#include "dns/response.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "agent/core/ascii.h"
#include "agent/core/limits.h"
#include "dns/codes.h"
#include "dns/message_walk.h"

namespace sallyport::dns {
namespace {

constexpr uint8_t truncation = 0x02;

bool same_question(std::span<const char> response, std::span<const char> query,
                   const Question& question) {
  if (question_end(response) != question.end) return false;
  // The lengths of labels are no letters, so that case does not matter to them.
  const auto same = [](char a, char b) { return ascii::lower(a) == ascii::lower(b); };
  const std::size_t letters = question.end - 4;
  return std::equal(query.begin() + dns_header_bytes, query.begin() + std::ptrdiff_t(letters),
                    response.begin() + dns_header_bytes, same) &&
         std::equal(query.begin() + std::ptrdiff_t(letters),
                    query.begin() + std::ptrdiff_t(question.end),
                    response.begin() + std::ptrdiff_t(letters));
}

// RFC 2181 section 8: one whose highest bit is set is 0.
uint32_t ttl_of(std::span<const char> message, const RecordPlace& place) {
  const uint32_t ttl = long_at(message, place.fixed + 4);
  return ttl > INT32_MAX ? 0 : ttl;
}

// Of an SOA record; nullopt: malformed.
std::optional<uint32_t> denial_time(std::span<const char> message, const RecordPlace& place) {
  constexpr std::size_t numbers = 20, minimum_at = 16;
  const auto whole = message.first(place.end);
  const std::size_t name = skip_name(whole, place.data);
  const std::size_t mailbox = name == 0 ? 0 : skip_name(whole, name);
  if (mailbox == 0 || place.end - mailbox < numbers) return std::nullopt;
  return std::min(ttl_of(message, place), long_at(message, mailbox + minimum_at));
}

std::optional<RecordPlace> find_opt(std::span<const char> response, std::size_t question_end) {
  std::optional<RecordPlace> opt;
  const auto look = [&](int section, const RecordPlace& place) {
    // Its owner is the root (RFC 6891 section 6.1.2): a pointer would lead nowhere once moved.
    const bool root = place.fixed == place.begin + 1;
    if (section == 2 && place.type == type_opt && root) opt = place;
  };
  walk_records(response, question_end, limits::dns_records, look);
  return opt;
}

}  // namespace

bool answers(std::span<const char> response, uint16_t id, std::span<const char> query,
             const Question& question) {
  constexpr uint8_t is_response = 0x80, operation = 0x78;
  if (response.size() < dns_header_bytes || number_at(response, 0) != id) return false;
  const uint8_t flags = byte_at(response, 2);
  if (!(flags & is_response) || (flags & operation)) return false;
  const uint8_t rcode = byte_at(response, 3) & 0xf;
  if (number_at(response, 4) == 0) {
    return rcode == format_error || rcode == server_failure || rcode == not_implemented ||
           rcode == refused;
  }
  return same_question(response, query, question);
}

ResponseFacts read_response(std::span<const char> response) {
  ResponseFacts facts;
  facts.rcode = byte_at(response, 3) & 0xf;
  facts.truncated = (byte_at(response, 2) & truncation) != 0;
  const std::size_t end = question_end(response);
  if (end == 0 || facts.truncated || (facts.rcode != no_error && facts.rcode != no_such_name))
    return facts;
  const uint16_t asked = number_at(response, end - 4);
  bool has_asked = false;
  std::optional<uint32_t> of_answers, of_denial;
  const auto look = [&](int section, const RecordPlace& place) {
    if (section == 0) {
      const uint32_t ttl = ttl_of(response, place);
      of_answers = std::min(of_answers.value_or(ttl), ttl);
      has_asked |= place.type == asked || asked == type_any;
    }
    if (section == 1 && place.type == type_soa) of_denial = denial_time(response, place);
  };
  if (!walk_records(response, end, limits::dns_records, look)) return facts;
  // An alias of what is denied is no answer (RFC 2308 section 2); both their TTLs count.
  const bool denied = facts.rcode == no_such_name || !has_asked;
  if (denied && !of_denial) return facts;
  facts.ttl = std::min(of_answers.value_or(UINT32_MAX), of_denial.value_or(UINT32_MAX));
  // A Service that is made now is not to stay unknown for its zone's time.
  constexpr auto most = std::chrono::seconds(limits::dns_negative_ttl_max);
  if (denied) facts.ttl = std::min(*facts.ttl, static_cast<uint32_t>(most.count()));
  return facts;
}

std::size_t fit(std::span<char> response, std::size_t limit) {
  if (response.size() <= limit) return response.size();
  std::size_t size = question_end(response);
  if (size == 0 || size > limit) size = dns_header_bytes;
  const bool has_question = size > dns_header_bytes;
  const auto opt = has_question ? find_opt(response, size) : std::nullopt;
  std::size_t opt_size = opt ? opt->end - opt->begin : 0;
  if (size + opt_size > limit) opt_size = 0;
  uint16_t count = 0;
  // Pointers lead backwards: what stands first is whole without the rest.
  const auto keep = [&](int section, const RecordPlace& place) {
    if (section != 0 || place.begin != size || place.end + opt_size > limit) return;
    size = place.end;
    count++;
  };
  if (has_question) walk_records(response, size, limits::dns_records, keep);
  if (opt_size > 0) std::memmove(response.data() + size, response.data() + opt->begin, opt_size);
  response[2] = static_cast<char>(response[2] | truncation);
  const uint16_t counts[] = {has_question, count, 0, opt_size > 0};
  for (std::size_t i = 0; i < std::size(counts); i++) {
    response[4 + 2 * i] = static_cast<char>(counts[i] >> 8);
    response[5 + 2 * i] = static_cast<char>(counts[i] & 0xff);
  }
  return size + opt_size;
}

void rotate(std::span<char> response, uint32_t by) {
  constexpr uint8_t authoritative = 0x04;
  response[2] = static_cast<char>(response[2] & ~authoritative);
  const std::size_t end = question_end(response);
  const uint16_t asked = end == 0 ? 0 : number_at(response, end - 4);
  if (asked != type_a && asked != type_aaaa) return;
  const std::size_t size = asked == type_a ? 4 : 16;
  std::array<std::size_t, limits::dns_addresses> places;
  std::size_t count = 0;
  walk_records(response, end, limits::dns_records, [&](int section, const RecordPlace& place) {
    const bool one = section == 0 && place.type == asked && place.end - place.data == size;
    if (one && count < places.size()) places[count++] = place.data;
  });
  if (count < 2) return;
  std::array<char, limits::dns_addresses * 16> addresses;
  for (std::size_t i = 0; i < count; i++)
    std::copy_n(response.begin() + std::ptrdiff_t(places[i]), size,
                addresses.begin() + std::ptrdiff_t(i * size));
  for (std::size_t i = 0; i < count; i++)
    std::copy_n(addresses.begin() + std::ptrdiff_t((i + by % count) % count * size), size,
                response.begin() + std::ptrdiff_t(places[i]));
}

std::vector<IpAddress> addresses_in(std::span<const char> response) {
  std::vector<IpAddress> out;
  const std::size_t end = question_end(response);
  if (end == 0) return out;
  walk_records(response, end, limits::dns_records, [&](int section, const RecordPlace& place) {
    if (section != 0 || place.klass != class_in || out.size() == limits::dns_addresses) return;
    const std::size_t size = place.end - place.data;
    if (place.type == type_a && size == 4)
      out.push_back(IpAddress::v4(long_at(response, place.data)));
    if (place.type != type_aaaa || size != 16) return;
    in6_addr bytes;
    std::memcpy(&bytes, response.data() + place.data, sizeof bytes);
    out.push_back(IpAddress::v6(bytes));
  });
  return out;
}

void age(std::span<char> response, uint32_t seconds) {
  const std::size_t end = question_end(response);
  if (end == 0) return;
  walk_records(response, end, limits::dns_records, [&](int, const RecordPlace& place) {
    if (place.type == type_opt) return;
    const uint32_t ttl = ttl_of(response, place);
    const uint32_t left = ttl > seconds ? ttl - seconds : 0;
    for (unsigned i = 0; i < 4; i++)
      response[place.fixed + 4 + i] = static_cast<char>(left >> (24 - 8 * i));
  });
}

void readdress(std::span<char> response, std::span<const char> query, const Question& question) {
  constexpr char recursion_desired = 0x01, checking_disabled = 0x10;
  const auto take = [&](std::size_t at, char bit) {
    response[at] = static_cast<char>((response[at] & ~bit) | (query[at] & bit));
  };
  std::copy_n(query.begin(), 2, response.begin());
  take(2, recursion_desired);
  take(3, checking_disabled);
  if (question_end(response) != question.end) return;  // of a failure without a question
  std::copy(query.begin() + dns_header_bytes, query.begin() + std::ptrdiff_t(question.end),
            response.begin() + dns_header_bytes);
}

}  // namespace sallyport::dns
