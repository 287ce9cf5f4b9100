// Why a head is refused: Envoy's response code details where Envoy has one
// (Http1ResponseCodeDetails).
#pragma once
#include "agent/http/message/head.h"

namespace sallyport::http::refusal {

inline constexpr char codec_error[] = "http1.codec_error";
inline constexpr char invalid_characters[] = "http1.invalid_characters";
inline constexpr char headers_too_large[] = "http1.headers_too_large";
inline constexpr char too_many_headers[] = "http1.too_many_headers";
inline constexpr char invalid_url[] = "http1.invalid_url";
inline constexpr char invalid_transfer_encoding[] = "http1.invalid_transfer_encoding";
inline constexpr char transfer_encoding_not_allowed[] = "http1.transfer_encoding_not_allowed";
inline constexpr char both_lengths[] = "http1.content_length_and_chunked_not_allowed";
inline constexpr char connection_header[] = "http1.connection_header_rejected";
inline constexpr char invalid_authority[] = "http.invalid_authority";
inline constexpr char missing_host[] = "missing_host_header";
inline constexpr char no_tunnel[] = "route_not_found";  // Envoy's for an unexpected CONNECT
// Envoy's for '#' in a target, and for a NUL in a path.
inline constexpr char bad_path[] = "path_normalization_failed";
// Envoy lets these through.
inline constexpr char repeated_host[] = "http1.repeated_host";
inline constexpr char authority_differs[] = "http1.host_differs_from_target";
inline constexpr char version[] = "http1.unsupported_version";

inline bool refuse(Head& head, const char* reason, uint16_t status = 400) {
  head.refuse_status = status;
  head.refuse_reason = reason;
  return false;
}

}  // namespace sallyport::http::refusal
