#include "dns/framing.h"

#include <array>
#include <span>

#include "dns/message_walk.h"

namespace sallyport::dns {
namespace {

net::Task<bool> read_exactly(net::Stream& from, std::span<char> into) {
  while (!into.empty()) {
    const ssize_t got = co_await from.read(into);
    if (got <= 0) co_return false;
    into = into.subspan(std::size_t(got));
  }
  co_return true;
}

}  // namespace

net::Task<std::optional<std::string>> read_message(net::Stream& from, std::size_t most) {
  std::array<char, 2> length;
  if (!co_await read_exactly(from, length)) co_return std::nullopt;
  const std::size_t size = number_at(length, 0);
  if (size > most) co_return std::nullopt;
  std::string message(size, '\0');
  if (!co_await read_exactly(from, message)) co_return std::nullopt;
  co_return message;
}

std::string with_length(std::string message) {
  const auto size = static_cast<uint16_t>(message.size());
  message.insert(0, {static_cast<char>(size >> 8), static_cast<char>(size & 0xff)});
  return message;
}

}  // namespace sallyport::dns
