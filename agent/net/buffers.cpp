#include "agent/net/buffers.h"

#include <vector>

namespace sallyport::net {
namespace {

struct Free {
  std::vector<char*> blocks;
  ~Free() {
    for (char* block : blocks) ::operator delete(block);
    blocks.clear();
    ended = true;
  }
  bool ended = false;
};
thread_local Free free_blocks;

}  // namespace

Buffers::Lease Buffers::take() {
  auto& blocks = free_blocks.blocks;
  if (blocks.empty()) return Lease(static_cast<char*>(::operator new(size)));
  Lease lease(blocks.back());
  blocks.pop_back();
  return lease;
}

void Buffers::give(char* block) noexcept {
#if defined(__SANITIZE_ADDRESS__)
  return ::operator delete(block);  // Or a use after giving it back would not be seen.
#endif
  auto& free = free_blocks;
  if (free.ended || free.blocks.size() >= kept) return ::operator delete(block);
  free.blocks.push_back(block);
}

}  // namespace sallyport::net
