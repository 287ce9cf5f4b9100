// A number that one thread writes (a plain relaxed load and store, no locked instruction) and any
// may read.
#pragma once
#include <atomic>
#include <cstdint>

namespace sallyport::observe {

class Counter {
public:
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(uint64_t n = 1) { add(0 - n); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace sallyport::observe
