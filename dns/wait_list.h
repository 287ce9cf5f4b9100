// Coroutines that wait for one event, woken together. Each unregisters itself when its frame is
// destroyed.
//
// Threading: the loop's thread. Waking hands the resumption to the loop (agent/net/task.h,
// "Wakers"): nothing runs within wake_all(), so the list may be destroyed right after it.
#pragma once
#include <coroutine>

#include "agent/net/loop.h"
#include "agent/net/op.h"

namespace sallyport::dns {

class WaitList {
public:
  WaitList() = default;
  WaitList(const WaitList&) = delete;
  // Whoever still waits is forgotten, not woken: its frame can only be destroyed.
  ~WaitList() {
    while (!head_.alone()) head_.next->unlink();
  }

  class Wait : net::Link {
  public:
    explicit Wait(WaitList& list) : op_([](net::Op&) { return true; }), list_(list) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
      op_.waiter = waiter;
      insert_before(list_.head_);
    }
    void await_resume() const noexcept {}

  private:
    friend class WaitList;
    net::Op op_;
    WaitList& list_;
  };

  [[nodiscard]] Wait wait() { return Wait(*this); }  // co_await list.wait()

  void wake_all(net::Loop& loop) {
    while (!head_.alone()) {
      Wait& first = static_cast<Wait&>(*head_.next);
      first.unlink();
      loop.defer(first.op_);
    }
  }

private:
  net::Link head_;
};

}  // namespace sallyport::dns
