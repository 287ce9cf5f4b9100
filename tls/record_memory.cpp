#include "tls/record_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <array>
#include <cstdlib>

namespace sallyport::tls {
namespace {

constexpr std::size_t record = 16 * 1024;
constexpr std::size_t block = 17 * 1024;  // a record with its header, tag, padding and alignment
constexpr std::size_t rounding = 32;      // what malloc may add to a size
constexpr std::size_t kept = 64;          // blocks a thread keeps: 1 MiB
#if defined(__SANITIZE_ADDRESS__)
constexpr bool recycles = false;  // or a use after giving it back would not be seen
#else
constexpr bool recycles = true;
#endif

struct Free {
  std::array<void*, kept> blocks{};
  std::size_t count = 0;
  bool ended = false;  // the thread ends; what it frees later is not kept
  ~Free() {
    for (ended = true; count > 0; count--) std::free(blocks[count - 1]);
  }
};
thread_local Free free_blocks;

bool fits(void* memory) {
  const std::size_t size = memory ? malloc_usable_size(memory) : 0;
  return size >= block && size < block + rounding;
}

void* take(std::size_t size, const char*, int) {
  if (size <= record || size > block) return std::malloc(size);
  Free& free = free_blocks;
  return free.count > 0 ? free.blocks[--free.count] : std::malloc(block);
}

void give(void* memory, const char*, int) {
  Free& free = free_blocks;
  const bool keep = recycles && fits(memory) && !free.ended && free.count < kept;
  if (!keep) return std::free(memory);
  free.blocks[free.count++] = memory;
}

void* resize(void* memory, std::size_t size, const char*, int) {
  return std::realloc(memory, size);
}

}  // namespace

bool recycle_record_memory() { return CRYPTO_set_mem_functions(take, resize, give) == 1; }

}  // namespace sallyport::tls
