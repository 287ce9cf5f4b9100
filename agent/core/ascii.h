// Characters of protocols and of configuration: ASCII, whatever the locale.
#pragma once

namespace sallyport::ascii {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

}  // namespace sallyport::ascii
