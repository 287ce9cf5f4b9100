#include "agent/net/timers.h"

namespace sallyport::net {

void Timer::arm(std::chrono::milliseconds from_now) {
  disarm();
  when_ = Loop::Clock::now() + from_now;  // Not loop.now(): a long batch would make it fire early.
  loop_.timers().add(*this);
}

void Timer::disarm() {
  if (armed()) loop_.timers().remove(*this);
}

void Loop::Timers::add(Timer& timer) {
  heap_.push_back(&timer);
  rise(heap_.size() - 1);
}

void Loop::Timers::remove(Timer& timer) {
  const std::size_t at = timer.index_;
  Timer* const last = heap_.back();
  heap_.pop_back();
  timer.index_ = Timer::none;
  if (last == &timer) return;
  place(last, at);
  rise(at);
  sink(last->index_);
}

Timer* Loop::Timers::take_due(Clock::time_point now) {
  if (heap_.empty() || heap_.front()->when_ > now) return nullptr;
  Timer* const due = heap_.front();
  remove(*due);
  return due;
}

void Loop::Timers::place(Timer* timer, std::size_t at) {
  heap_[at] = timer;
  timer->index_ = static_cast<uint32_t>(at);
}

void Loop::Timers::rise(std::size_t at) {
  Timer* const timer = heap_[at];
  while (at > 0 && timer->when_ < heap_[(at - 1) / 2]->when_) {
    place(heap_[(at - 1) / 2], at);
    at = (at - 1) / 2;
  }
  place(timer, at);
}

void Loop::Timers::sink(std::size_t at) {
  Timer* const timer = heap_[at];
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_) child++;
    if (heap_[child]->when_ >= timer->when_) break;
    place(heap_[child], at);
    at = child;
  }
  place(timer, at);
}

namespace {
struct Sleep {
  struct Wake : Timer {
    std::coroutine_handle<> waiter;
    explicit Wake(Loop& loop)
        : Timer(loop, [](Timer& timer) { static_cast<Wake&>(timer).waiter.resume(); }) {}
  };
  Wake wake;
  std::chrono::milliseconds duration;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    wake.waiter = waiter;
    wake.arm(duration);
  }
  void await_resume() const noexcept {}
};
}  // namespace

Task<void> sleep_for(Loop& loop, std::chrono::milliseconds duration) {
  co_await Sleep{Sleep::Wake(loop), duration};
}

}  // namespace sallyport::net
