// Fine timers (1 ms): back-off, happy eyeballs, perTryTimeout. What many connections have one of
// each (idle and request deadlines) hangs on Stream::set_deadline instead.
//
// Threading: the loop's thread. Ownership: a Timer is its owner's; destroying it disarms it.
#pragma once
#include <chrono>
#include <vector>

#include "agent/net/loop.h"

namespace sallyport::net {

class Timer {
public:
  using Fired = void (*)(Timer&);  // may destroy the timer
  Timer(Loop& loop, Fired fired) : loop_(loop), fired_(fired) {}
  Timer(const Timer&) = delete;
  ~Timer() { disarm(); }
  void arm(std::chrono::milliseconds from_now);  // never fires early; 0 fires in the next batch
  void disarm();
  bool armed() const { return index_ != none; }

private:
  friend class Loop::Timers;
  static constexpr uint32_t none = ~0u;
  Loop& loop_;
  Fired fired_;
  Loop::Clock::time_point when_;
  uint32_t index_ = none;  // in the heap
};

// A binary heap that knows where each timer stands in it: disarming costs as little as arming.
class Loop::Timers {
public:
  void add(Timer& timer);
  void remove(Timer& timer);
  bool empty() const { return heap_.empty(); }
  Clock::time_point next() const { return heap_.front()->when_; }  // REQUIRES: !empty()
  // Takes the first one that is due out of the heap, or null.
  Timer* take_due(Clock::time_point now);
  static void fire(Timer& timer) { timer.fired_(timer); }

private:
  void place(Timer* timer, std::size_t at);
  void rise(std::size_t at);
  void sink(std::size_t at);
  std::vector<Timer*> heap_;
};

}  // namespace sallyport::net
