// gRPC's framing of messages and its status, as pure functions (gRPC over HTTP/2,
// PROTOCOL-HTTP2.md).
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "agent/core/error.h"

namespace sallyport::ca {

enum class GrpcCode : int {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  permission_denied = 7,
  resource_exhausted = 8,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  unauthenticated = 16,
};
// "UNAUTHENTICATED"; "code 99" for one that the standard does not know.
std::string code_name(int code);

// One message with its five bytes in front, not compressed.
std::string grpc_frame(std::string_view message);

// Takes messages out of the bytes of a stream as they come.
class GrpcReader {
public:
  explicit GrpcReader(std::size_t message_bytes_max) : bytes_max_(message_bytes_max) {}
  // Errors: a message that is longer than the limit, or compressed (never asked for), or bytes
  // after a whole message that nobody took: it holds one message and what came with its end.
  Result<void> feed(std::string_view bytes);
  std::optional<std::string> take();
  bool in_message() const { return !buffer_.empty(); }  // cut off if the stream ends now

private:
  // Of the message that begins there; empty: not known yet.
  std::optional<std::size_t> length_at(std::size_t at) const;
  std::size_t bytes_max_;
  std::string buffer_;
};

// grpc-message: printable ASCII, the rest and `%` as %XX.
std::string percent_encoded(std::string_view text);
// Undoes it; what is no escape stays as it is.
std::string percent_decoded(std::string_view text);

}  // namespace sallyport::ca
