#include "agent/http/pieces.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace sallyport::http {

void Pieces::view(std::string_view bytes) {
  if (bytes.empty()) return;
  out_.bytes += bytes.size();
  if (out_.count) {
    iovec& last = out_.pieces[out_.count - 1];
    if (static_cast<const char*>(last.iov_base) + last.iov_len == bytes.data()) {
      last.iov_len += bytes.size();
      return;
    }
  }
  // One is kept for the body that a caller puts behind the head.
  if (out_.count + 1 >= Outgoing::pieces_max) std::abort();
  out_.pieces[out_.count++] = {const_cast<char*>(bytes.data()), bytes.size()};
}

void Pieces::copy(std::string_view bytes) {
  if (bytes.empty()) return;
  if (bytes.size() > static_cast<std::size_t>(out_.scratch.end() - at_)) std::abort();
  std::memcpy(at_, bytes.data(), bytes.size());
  const char* const begin = at_;
  at_ += bytes.size();
  view({begin, bytes.size()});
}

void Pieces::field(std::string_view name, std::string_view value) {
  copy(name);
  if (value.size() <= Outgoing::copied_value_max)
    copy(value);
  else
    view(value);
  copy("\r\n");
}

void Pieces::field(std::string_view name, int64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  field(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

void Pieces::address(const IpAddress& ip) {
  char text[45];
  copy({text, static_cast<std::size_t>(ip.write(text) - text)});
}

}  // namespace sallyport::http
