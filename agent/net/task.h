// Task<T>: a lazy coroutine with one owner. Awaiting it starts it; destroying it at any suspension
// point is safe: every awaitable of this project unregisters itself in its destructor.
//
// Threading: a Task lives and dies on one worker's thread.
// Wakers:    only the loop resumes a coroutine. Who completes something for another task (a pool, a
// resolver) hands the
//            resumption to the loop (Op and Loop::defer), so that a task that is running is never
//            destroyed by another.
// Frames come from per-thread free lists (FrameCache), so a steady request allocates none.
// Exceptions: none may leave a coroutine; one that does ends the process.
#pragma once
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

namespace sallyport::net {

// Free lists by size, LIFO, per thread; frames past 4 KiB go to operator new. Under
// AddressSanitizer nothing is recycled, so that it sees every use after destruction.
class FrameCache {
public:
  static constexpr std::size_t largest = 4096;
  static constexpr std::size_t kept_per_class = 1024;  // free ones a thread keeps
  static void* take(std::size_t bytes);
  static void give(void* block, std::size_t bytes) noexcept;
};

template <class T = void>
class Task;

namespace detail {
struct Promise {
  std::coroutine_handle<> continuation;
  static void* operator new(std::size_t n) { return FrameCache::take(n); }
  static void operator delete(void* p, std::size_t n) noexcept { FrameCache::give(p, n); }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> done) noexcept {
      const auto next = done.promise().continuation;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  std::suspend_always initial_suspend() noexcept { return {}; }
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }
};
template <class T>
struct PromiseOf : Promise {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() { return std::move(*value); }
};
template <>
struct PromiseOf<void> : Promise {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};
}  // namespace detail

template <class T>
class [[nodiscard]] Task {
public:
  using promise_type = detail::PromiseOf<T>;
  using Value = T;
  Task() = default;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  explicit operator bool() const { return bool(handle_); }
  bool done() const { return !handle_ || handle_.done(); }

  // Awaiting: starts the task and continues the awaiter with its value. A nested call and not a
  // symmetric transfer: without -O2 (and under sanitizers) g++ makes no tail call of that, and a
  // loop over tasks that end at once would eat the stack.
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) { return start(waiter); }
  T await_resume() { return handle_.promise().take(); }

  // For combinators. Runs until the first suspension; false when the task has ended already.
  // Otherwise `then` (may be null) is resumed at its end.
  bool start(std::coroutine_handle<> then) {
    handle_.resume();
    return resume_at_end(then);
  }
  // The same for a task that was started before.
  bool resume_at_end(std::coroutine_handle<> then) {
    if (handle_.done()) return false;
    handle_.promise().continuation = then;
    return true;
  }
  T take() { return handle_.promise().take(); }  // REQUIRES: done(), once.

private:
  std::coroutine_handle<promise_type> handle_;
};

template <class T>
Task<T> detail::PromiseOf<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<PromiseOf>::from_promise(*this));
}
inline Task<void> detail::PromiseOf<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<PromiseOf>::from_promise(*this));
}

}  // namespace sallyport::net
