#include <new>

#include "agent/net/task.h"

#if defined(__SANITIZE_ADDRESS__)
#define SALLYPORT_RECYCLE_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SALLYPORT_RECYCLE_FRAMES 0
#endif
#endif
#ifndef SALLYPORT_RECYCLE_FRAMES
#define SALLYPORT_RECYCLE_FRAMES 1
#endif

namespace sallyport::net {
namespace {

// The sizes that malloc has: multiples of 16 bytes, 8 of which are its own.
constexpr std::size_t step = 16, of_malloc = 8;
constexpr std::size_t class_of(std::size_t bytes) { return (bytes + of_malloc + step - 1) / step; }
constexpr std::size_t size_of(std::size_t size_class) { return size_class * step - of_malloc; }
struct Node {
  Node* next;
};
struct List {
  Node* top;
  uint32_t free;
};
// Trivially destructible, so that an access is one instruction; the Reaper frees it when the thread
// ends.
thread_local constinit List lists[class_of(FrameCache::largest) + 1]{};
thread_local constinit bool thread_ends = false;

struct Reaper {
  ~Reaper() {
    thread_ends = true;
    for (List& list : lists) {
      while (Node* node = std::exchange(list.top, list.top ? list.top->next : nullptr)) {
        ::operator delete(node);
      }
      list.free = 0;
    }
  }
  void touch() {}
};
thread_local Reaper reaper;

constexpr bool recycled(std::size_t bytes) {
  return SALLYPORT_RECYCLE_FRAMES && bytes <= FrameCache::largest;
}

}  // namespace

void* FrameCache::take(std::size_t bytes) {
  if (!recycled(bytes)) return ::operator new(bytes);
  const std::size_t size_class = class_of(bytes);
  List& list = lists[size_class];
  if (Node* node = list.top) {
    list.top = node->next;
    list.free--;
    return node;
  }
  reaper.touch();
  return ::operator new(size_of(size_class));
}

void FrameCache::give(void* block, std::size_t bytes) noexcept {
  if (!recycled(bytes)) return ::operator delete(block);
  List& list = lists[class_of(bytes)];
  if (list.free >= kept_per_class || thread_ends) return ::operator delete(block);
  list.top = new (block) Node{list.top};
  list.free++;
}

}  // namespace sallyport::net
