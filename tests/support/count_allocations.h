// Counts what the calling thread allocates by operator new. Replaces the global operators, so it is
// included by exactly one source of a test program. Not inlined: g++ takes new and free for a
// mismatch otherwise.
#pragma once
#include <cstdlib>
#include <new>

#include "tests/support/allocations.h"

[[gnu::noinline]] void* operator new(std::size_t size) {
  sallyport::test::allocations++;
  if (void* block = std::malloc(size ? size : 1)) return block;
  throw std::bad_alloc();
}
// As std::stable_sort asks for its buffer.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  sallyport::test::allocations++;
  return std::malloc(size ? size : 1);
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }
