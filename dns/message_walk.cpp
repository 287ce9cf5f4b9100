#include "dns/message_walk.h"

namespace sallyport::dns {

std::size_t skip_name(std::span<const char> message, std::size_t at) {
  constexpr uint8_t pointer = 0xc0, longest_label = 63;
  while (at < message.size()) {
    const uint8_t length = byte_at(message, at);
    if (length == 0) return at + 1;
    if ((length & pointer) == pointer) return at + 2 <= message.size() ? at + 2 : 0;
    if (length > longest_label) return 0;
    at += 1u + length;
  }
  return 0;
}

std::optional<RecordPlace> record_at(std::span<const char> message, std::size_t at) {
  constexpr std::size_t fixed_bytes = 10;  // type, class, TTL, length of the data
  const std::size_t fixed = skip_name(message, at);
  if (fixed == 0 || message.size() - fixed < fixed_bytes) return std::nullopt;
  const std::size_t data = fixed + fixed_bytes, size = number_at(message, fixed + 8);
  if (message.size() - data < size) return std::nullopt;
  return RecordPlace{
      at, fixed, data, data + size, number_at(message, fixed), number_at(message, fixed + 2)};
}

std::size_t question_end(std::span<const char> message) {
  if (message.size() < dns_header_bytes || number_at(message, 4) != 1) return 0;
  const std::size_t name_end = skip_name(message, dns_header_bytes);
  return name_end != 0 && message.size() - name_end >= 4 ? name_end + 4 : 0;
}

}  // namespace sallyport::dns
