// One immutable value, replaced whole by one thread and read by many without a lock.
//
// Threading: publish() on the configuration thread only; each worker owns a Reader and calls it on
// its own thread. Cost: get() is one atomic load; the shared_ptr is touched only after a change.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

namespace sallyport {

template <class T>
class Published {
public:
  using Pointer = std::shared_ptr<const T>;

  explicit Published(Pointer first) : current_(std::move(first)) {}
  Published(const Published&) = delete;

  void publish(Pointer next) {
    current_.store(std::move(next));
    generation_.fetch_add(
        1, std::memory_order_release);  // After the store: no reader keeps a stale view.
  }
  Pointer current() const { return current_.load(); }

  class Reader {
  public:
    explicit Reader(const Published& source) : source_(source), cached_(source.current_.load()) {}
    // True when get() would give another value than last time.
    bool changed() const { return source_.generation_.load(std::memory_order_acquire) != seen_; }
    const Pointer& get() {
      const auto now = source_.generation_.load(std::memory_order_acquire);
      if (now != seen_) {
        seen_ = now;
        cached_ = source_.current_.load();
      }
      return cached_;
    }

  private:
    const Published& source_;
    uint64_t seen_ = 0;
    Pointer cached_;
  };

private:
  std::atomic<Pointer> current_;
  std::atomic<uint64_t> generation_{0};
};

}  // namespace sallyport
