// XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md): what Envoy's ring hash and Maglev are
// built on, so that a key goes to the same endpoint as with Envoy. Keeps no secret.
#pragma once
#include <cstdint>
#include <string_view>

namespace sallyport {

uint64_t xxhash64(std::string_view bytes, uint64_t seed = 0);

}  // namespace sallyport
