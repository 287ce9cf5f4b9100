// Numbers of DNS (RFC 1035 section 3.2 and 4.1.1, RFC 3596, RFC 6891).
#pragma once
#include <cstdint>

namespace sallyport::dns {

inline constexpr uint16_t type_a = 1, type_cname = 5, type_soa = 6, type_aaaa = 28, type_opt = 41,
                          type_any = 255;
inline constexpr uint16_t class_in = 1;

inline constexpr uint8_t no_error = 0, format_error = 1, server_failure = 2, no_such_name = 3,
                         not_implemented = 4, refused = 5, bad_version = 16;

}  // namespace sallyport::dns
