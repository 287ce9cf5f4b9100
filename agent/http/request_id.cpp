#include "agent/http/request_id.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

namespace sallyport::http {
namespace {

// The eight hexadecimal digits of `value` at once, a byte each: an id a request was 1.6 % of a
// gateway's instructions digit by digit.
void put_digits(char* to, uint32_t value) {
  uint64_t digits = value;
  digits = (digits | digits << 16) & 0x0000ffff0000ffff;
  digits = (digits | digits << 8) & 0x00ff00ff00ff00ff;
  digits = (digits | digits << 4) & 0x0f0f0f0f0f0f0f0f;
  const uint64_t letters = ((digits + 0x0606060606060606) >> 4) & 0x0101010101010101;  // above 9
  digits += 0x3030303030303030 + letters * ('a' - '0' - 10);
  digits = std::endian::native == std::endian::little ? __builtin_bswap64(digits) : digits;
  std::memcpy(to, &digits, sizeof digits);
}

}  // namespace

RequestIds::RequestIds() {
  if (getrandom(state_.data(), sizeof state_, 0) == sizeof state_) return;
  // Before the kernel's generator is up nothing better is to be had; ids need not be secret.
  const auto now = std::chrono::high_resolution_clock::now().time_since_epoch().count();
  state_ = {static_cast<uint64_t>(now), reinterpret_cast<uintptr_t>(this), 0x9e3779b97f4a7c15ull,
            0xbf58476d1ce4e5b9ull};
}

RequestIds::RequestIds(std::array<uint64_t, 4> state) : state_(state) {}

// xoshiro256++ (Blackman and Vigna, 2019): period 2^256, a nanosecond a number.
uint64_t RequestIds::next() {
  const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

char* RequestIds::write(char* to) {
  const uint64_t high = (next() & ~0xf000ull) | 0x4000;                // version 4
  const uint64_t low = (next() & ~(0b11ull << 62)) | (0b10ull << 62);  // RFC 9562's variant
  std::array<char, 32> digits;
  put_digits(digits.data(), static_cast<uint32_t>(high >> 32));
  put_digits(digits.data() + 8, static_cast<uint32_t>(high));
  put_digits(digits.data() + 16, static_cast<uint32_t>(low >> 32));
  put_digits(digits.data() + 24, static_cast<uint32_t>(low));
  const char* from = digits.data();
  for (const std::size_t group : {8, 4, 4, 4}) {
    to = std::copy_n(from, group, to);
    *to++ = '-';
    from += group;
  }
  return std::copy_n(from, 12, to);
}

}  // namespace sallyport::http
