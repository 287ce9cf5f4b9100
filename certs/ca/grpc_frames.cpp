#include "certs/ca/grpc_frames.h"

#include <charconv>

namespace sallyport::ca {
namespace {

constexpr std::size_t prefix_bytes = 5;

constexpr const char* names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

}  // namespace

std::string code_name(int code) {
  return code >= 0 && code < static_cast<int>(std::size(names)) ? names[code]
                                                                : "code " + std::to_string(code);
}

std::string grpc_frame(std::string_view message) {
  std::string frame(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8)
    frame += static_cast<char>(message.size() >> shift & 0xff);
  return frame.append(message);
}

std::optional<std::size_t> GrpcReader::length_at(std::size_t at) const {
  if (buffer_.size() < at + prefix_bytes) return std::nullopt;
  std::size_t size = 0;
  for (std::size_t i = at + 1; i < at + prefix_bytes; ++i)
    size = size << 8 | static_cast<unsigned char>(buffer_[i]);
  return size;
}

Result<void> GrpcReader::feed(std::string_view bytes) {
  // What is whole is to be taken before more comes; else a peer's small messages would pile up.
  if (const auto first = length_at(0); first && buffer_.size() - prefix_bytes >= *first)
    return Error{.fault = Fault::overflow, .context = "more bytes than messages are taken"};
  buffer_.append(bytes);
  for (std::size_t at = 0; at < buffer_.size();) {  // each message that has begun
    if (buffer_[at] != 0) return Error{.fault = Fault::protocol, .context = "a compressed message"};
    const auto size = length_at(at);
    if (!size) break;
    if (*size > bytes_max_) {
      return Error{.fault = Fault::overflow,
                   .context = "a message of more than " + std::to_string(bytes_max_) + " bytes"};
    }
    at += prefix_bytes + *size;
  }
  return {};
}

std::optional<std::string> GrpcReader::take() {
  const auto size = length_at(0);
  if (!size || buffer_.size() - prefix_bytes < *size) return std::nullopt;
  // Moved, not copied: a message may have a private key in it, which its taker wipes.
  std::string rest = buffer_.substr(prefix_bytes + *size);
  std::string message = std::exchange(buffer_, std::move(rest));
  message.resize(prefix_bytes + *size);
  message.erase(0, prefix_bytes);
  return message;
}

std::string percent_encoded(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', digits[byte >> 4], digits[byte & 15]};
  }
  return out;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, value, 16).ptr == digits + 2) {
      out += static_cast<char>(value);
      i += 2;
      continue;
    }
    out += text[i];
  }
  return out;
}

}  // namespace sallyport::ca
