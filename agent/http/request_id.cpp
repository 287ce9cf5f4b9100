#include "agent/http/request_id.h"

#include <sys/random.h>

#include <bit>
#include <chrono>

namespace sallyport::http {
namespace {

constexpr auto hex_pairs = [] {
  constexpr char digits[] = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> pairs{};
  for (std::size_t i = 0; i < 256; i++) pairs[i] = {digits[i >> 4], digits[i & 15]};
  return pairs;
}();

char* put_bytes(char* to, uint64_t value, int bytes) {  // the lowest `bytes`, highest first
  for (int i = bytes - 1; i >= 0; i--) {
    const auto& pair = hex_pairs[(value >> (8 * i)) & 0xff];
    *to++ = pair[0];
    *to++ = pair[1];
  }
  return to;
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
  to = put_bytes(to, high >> 32, 4);
  *to++ = '-';
  to = put_bytes(to, high >> 16, 2);
  *to++ = '-';
  to = put_bytes(to, high, 2);
  *to++ = '-';
  to = put_bytes(to, low >> 48, 2);
  *to++ = '-';
  return put_bytes(to, low, 6);
}

}  // namespace sallyport::http
