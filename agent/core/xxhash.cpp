#include "agent/core/xxhash.h"

#include <bit>
#include <cstring>

namespace sallyport {
namespace {

constexpr uint64_t prime1 = 0x9E3779B185EBCA87, prime2 = 0xC2B2AE3D27D4EB4F,
                   prime3 = 0x165667B19E3779F9, prime4 = 0x85EBCA77C2B2AE63,
                   prime5 = 0x27D4EB2F165667C5;
static_assert(std::endian::native == std::endian::little, "the format is little-endian");

template <class T>
uint64_t take(const char*& from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  from += sizeof value;
  return value;
}

uint64_t round(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * prime2, 31) * prime1;
}

uint64_t merge(uint64_t hash, uint64_t lane) { return (hash ^ round(0, lane)) * prime1 + prime4; }

uint64_t stripes(const char*& at, const char* end, uint64_t seed) {
  uint64_t lanes[] = {seed + prime1 + prime2, seed + prime2, seed, seed - prime1};
  while (end - at >= 32) {
    for (uint64_t& lane : lanes) lane = round(lane, take<uint64_t>(at));
  }
  uint64_t hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
                  std::rotl(lanes[3], 18);
  for (const uint64_t lane : lanes) hash = merge(hash, lane);
  return hash;
}

uint64_t avalanche(uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * prime2;
  hash = (hash ^ (hash >> 29)) * prime3;
  return hash ^ (hash >> 32);
}

}  // namespace

uint64_t xxhash64(std::string_view bytes, uint64_t seed) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  uint64_t hash = bytes.size() >= 32 ? stripes(at, end, seed) : seed + prime5;
  hash += bytes.size();
  while (end - at >= 8) {
    hash = std::rotl(hash ^ round(0, take<uint64_t>(at)), 27) * prime1 + prime4;
  }
  if (end - at >= 4) {
    hash = std::rotl(hash ^ (take<uint32_t>(at) * prime1), 23) * prime2 + prime3;
  }
  while (at != end) hash = std::rotl(hash ^ (take<uint8_t>(at) * prime5), 11) * prime1;
  return avalanche(hash);
}

}  // namespace sallyport
