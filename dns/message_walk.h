// Steps through the names and records of a DNS message without reading what they say. Every length
// in it is hostile. Pure; no allocation.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

namespace sallyport::dns {

inline constexpr std::size_t dns_header_bytes = 12;

inline uint8_t byte_at(std::span<const char> message, std::size_t at) {
  return static_cast<uint8_t>(message[at]);
}
inline uint16_t number_at(std::span<const char> message, std::size_t at) {
  return static_cast<uint16_t>(byte_at(message, at) << 8 | byte_at(message, at + 1));
}
inline uint32_t long_at(std::span<const char> message, std::size_t at) {
  return uint32_t{number_at(message, at)} << 16 | number_at(message, at + 2);
}

// The end of the name at `at`, which may end in a pointer, whose target nobody asks for here; 0: it
// is cut short or has a label of a kind that there is not.
std::size_t skip_name(std::span<const char> message, std::size_t at);

struct RecordPlace {
  std::size_t begin, fixed, data, end;  // its owner, its type, its data, what follows
  uint16_t type, klass;
};
// nullopt: cut short.
std::optional<RecordPlace> record_at(std::span<const char> message, std::size_t at);

// The end of the question section of exactly one question; 0: there is another number of them, or
// it is cut short.
std::size_t question_end(std::span<const char> message);

// Calls `each(section, place)` for every record behind `at`, section 0 being the answers, 1 the
// authorities, 2 the rest. False: cut short, or more than `most` records.
template <class Each>
bool walk_records(std::span<const char> message, std::size_t at, std::size_t most, Each each) {
  std::size_t walked = 0;
  for (int section = 0; section < 3; section++) {
    const unsigned count = number_at(message, 6 + 2u * unsigned(section));
    for (unsigned i = 0; i < count; i++) {
      const auto place = record_at(message, at);
      if (!place || walked++ == most) return false;
      each(section, *place);
      at = place->end;
    }
  }
  return true;
}

}  // namespace sallyport::dns
