// The byte classes of HTTP/1 and the loops that are worth being fast: a head is read once, and this
// is where the time goes. Inside this module and the body codec only.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "agent/core/ascii.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sallyport::http::scan {

constexpr std::array<bool, 256> bytes_of(std::string_view more) {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; c++) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; c++) {
    table[static_cast<std::size_t>(c)] = true;
    table[static_cast<std::size_t>(c - 'a' + 'A')] = true;
  }
  for (char c : more) table[static_cast<unsigned char>(c)] = true;
  return table;
}
inline constexpr auto token_table = bytes_of("!#$%&'*+-.^_`|~");  // RFC 9110 section 5.6.2
// Unreserved characters only (RFC 3986): what a name in DNS or a mesh consists of. Sub-delimiters
// and percent-encoding are allowed by the grammar, used by nobody, and read differently.
inline constexpr auto host_table = bytes_of("-._~");

inline bool is_token(char c) { return token_table[static_cast<unsigned char>(c)]; }
inline bool is_host(char c) { return host_table[static_cast<unsigned char>(c)]; }
inline bool is_blank(char c) { return c == ' ' || c == '\t'; }
using ascii::is_digit;
inline bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}
// Visible ASCII but '#': a fragment never goes over the wire, and raw UTF-8 is not a URI.
inline bool is_target(char c) { return c > 0x20 && c < 0x7f && c != '#'; }

inline const char* token_end(const char* p, const char* end) {
  while (p != end && is_token(*p)) ++p;
  return p;
}

// The first control character (tab is none) from p on; `end` when there is none.
inline const char* find_control(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i low = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i is_low = _mm_cmpeq_epi8(_mm_min_epu8(v, low), v);
    const __m128i hit =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), is_low), _mm_cmpeq_epi8(v, del));
    if (const int mask = _mm_movemask_epi8(hit)) return p + __builtin_ctz(unsigned(mask));
  }
#endif
  while (p != end && !is_control(*p)) ++p;
  return p;
}

// The first byte that can't be in a request-target; `end` when there is none.
inline const char* target_end(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i space = _mm_set1_epi8(0x20), hash = _mm_set1_epi8('#'), del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // The comparison is signed: bytes from 0x80 on are below a space as well.
    const __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, hash), _mm_cmpeq_epi8(v, del));
    const __m128i good = _mm_andnot_si128(bad, _mm_cmpgt_epi8(v, space));
    const unsigned mask = unsigned(_mm_movemask_epi8(good)) ^ 0xffffu;
    if (mask) return p + __builtin_ctz(mask);
  }
#endif
  while (p != end && is_target(*p)) ++p;
  return p;
}

// Whether a token is this name. `lower` consists of a-z, 0-9 and '-', all of which have bit 0x20:
// setting it in the token maps nothing but the upper-case letter onto the same byte.
template <std::size_t N>
inline bool is_name(const char* token, const char (&lower)[N]) {
  constexpr std::size_t size = N - 1;
  constexpr uint64_t bits = 0x2020202020202020ull;
  if constexpr (size >= 8) {
    for (std::size_t i = 0;; i = i + 16 <= size ? i + 8 : size - 8) {
      uint64_t a, b;
      std::memcpy(&a, token + i, 8);
      std::memcpy(&b, lower + i, 8);
      if ((a | bits) != b) return false;
      if (i + 8 == size) return true;
    }
  } else {
    for (std::size_t i = 0; i < size; i++)
      if ((token[i] | 0x20) != lower[i]) return false;
    return true;
  }
}

inline std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Calls f(item) for each item of a comma-separated list; f answers false to stop. Empty items are
// skipped (RFC 9110 section 5.6.1.2).
template <class F>
bool each_item(std::string_view list, F f) {
  for (;;) {
    const auto comma = list.find(',');
    const auto item = trim(list.substr(0, comma));
    if (!item.empty() && !f(item)) return false;
    if (comma == list.npos) return true;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace sallyport::http::scan
