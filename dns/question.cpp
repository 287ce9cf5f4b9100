#include "dns/question.h"

#include "agent/core/ascii.h"
#include "dns/codes.h"
#include "dns/message_walk.h"

namespace sallyport::dns {
namespace {

constexpr std::size_t longest_name = 255;  // RFC 1035 section 2.3.4

// One label at `at`, its length included. False: it is no plain one, or cut short.
bool read_label(std::span<const char> message, std::size_t at, Question& into) {
  const std::size_t length = byte_at(message, at);
  if (length > 63 || message.size() - at - 1 < length) return false;
  if (into.wire_size + length + 2 > longest_name) return false;  // the root's byte follows
  into.wire[into.wire_size++] = static_cast<char>(length);
  if (into.text_size != 0) into.text[into.text_size++] = '.';
  for (const char c : message.subspan(at + 1, length)) {
    into.text[into.text_size++] = c == '.' ? '\\' : ascii::lower(c);
    into.wire[into.wire_size++] = ascii::lower(c);
  }
  return true;
}

// The end of the name at `at`; 0: it is cut short, too long or compressed.
std::size_t read_name(std::span<const char> message, std::size_t at, Question& into) {
  into.text_size = into.wire_size = 0;
  for (; at < message.size(); at += 1u + byte_at(message, at)) {
    if (byte_at(message, at) == 0) {
      into.wire[into.wire_size++] = 0;
      return at + 1;
    }
    if (!read_label(message, at, into)) return 0;
  }
  return 0;
}

// RFC 6891 section 6.1.
Reading read_opt(std::span<const char> message, const RecordPlace& place, Question& into) {
  if (into.edns || place.fixed != place.begin + 1) return Reading::format_error;  // not the root's
  into.edns = true;
  into.udp_size = place.klass;
  into.dnssec_ok = (byte_at(message, place.fixed + 6) & 0x80) != 0;
  into.options |= place.end != place.data;
  return byte_at(message, place.fixed + 5) == 0 ? Reading::answer : Reading::bad_version;
}

// What stands behind the question: `others` records, then `additional` ones, the only place of OPT.
Reading read_records(std::span<const char> message, unsigned others, unsigned additional,
                     Question& into) {
  Reading reading = Reading::answer;
  std::size_t at = into.end;
  for (unsigned i = 0; i < others + additional; i++) {
    const auto place = record_at(message, at);
    if (!place) return Reading::format_error;
    if (i >= others && place->type == type_opt) {
      const auto opt = read_opt(message, *place, into);
      if (opt == Reading::format_error) return opt;
      reading = opt;
    } else {
      into.options = true;
    }
    at = place->end;
  }
  return reading;
}

}  // namespace

Reading read_question(std::span<const char> message, Question& into) {
  into.recursion_desired = into.checking_disabled = into.authentic_data = false;
  into.edns = into.dnssec_ok = into.options = false;
  into.udp_size = 0;
  constexpr uint8_t response = 0x80, operation = 0x78;
  if (message.size() < dns_header_bytes || (byte_at(message, 2) & response)) return Reading::ignore;
  into.id = number_at(message, 0);
  into.recursion_desired = byte_at(message, 2) & 0x01;
  into.checking_disabled = byte_at(message, 3) & 0x10;
  into.authentic_data = byte_at(message, 3) & 0x20;
  if (byte_at(message, 2) & operation) return Reading::not_implemented;
  const unsigned answers = number_at(message, 6), authorities = number_at(message, 8),
                 additional = number_at(message, 10);
  if (number_at(message, 4) != 1 || answers > 1 || authorities > 1 || additional > 2)
    return Reading::format_error;
  const std::size_t name_end = read_name(message, dns_header_bytes, into);
  if (name_end == 0 || message.size() - name_end < 4) return Reading::format_error;
  into.type = number_at(message, name_end);
  into.klass = number_at(message, name_end + 2);
  into.end = name_end + 4;
  return read_records(message, answers + authorities, additional, into);
}

}  // namespace sallyport::dns
