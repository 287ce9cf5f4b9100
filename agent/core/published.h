// One immutable value, replaced whole by one thread and read by many.
//
// Threading: publish() on the configuration thread only; each worker owns a Reader and calls it on
// its own thread.
// Cost: get() is one atomic load; the pointer and its mutex are touched only after a change. (Not
// an atomic<shared_ptr>: that of libstdc++ 12 lets readers go by a relaxed unlock, a data race.)
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace sallyport {

template <class T>
class Published {
public:
  using Pointer = std::shared_ptr<const T>;

  explicit Published(Pointer first) : current_(std::move(first)) {}
  Published(const Published&) = delete;

  void publish(Pointer next) {
    {
      std::lock_guard lock(mutex_);
      current_.swap(next);
    }
    // After the store: no reader keeps a stale view. `next`, the old value, is freed outside the
    // lock.
    generation_.fetch_add(1, std::memory_order_release);
  }
  Pointer current() const {
    std::lock_guard lock(mutex_);
    return current_;
  }

  class Reader {
  public:
    explicit Reader(const Published& source)
        : source_(source),
          seen_(source.generation_.load(std::memory_order_acquire)),
          cached_(source.current()) {}
    // True when get() would give another value than last time.
    bool changed() const { return source_.generation_.load(std::memory_order_acquire) != seen_; }
    const Pointer& seen() const { return cached_; }  // what get() gave last; stays until the next
    const Pointer& get() {
      const auto now = source_.generation_.load(std::memory_order_acquire);
      if (now != seen_) {
        seen_ = now;
        cached_ = source_.current();
      }
      return cached_;
    }

  private:
    const Published& source_;
    uint64_t seen_;
    Pointer cached_;
  };

private:
  mutable std::mutex mutex_;  // of current_
  Pointer current_;
  std::atomic<uint64_t> generation_{0};
};

}  // namespace sallyport
