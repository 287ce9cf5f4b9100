// What waits on the loop: Op, one pending operation, and EventSource, what an epoll event points
// at. Both unregister themselves when destroyed, so a coroutine frame that holds them can be
// destroyed while it waits.
//
// Threading: the loop's thread.
#pragma once
#include <coroutine>
#include <cstdint>

namespace sallyport::net {

class Loop;
class Socket;

// One pending read, write or wait. The loop calls `attempt` when trying again may help; the
// coroutine is resumed only when the operation is over, so a wake-up that leads nowhere costs no
// resumption and an operation costs no frame.
struct Op {
  using Attempt =
      bool (*)(Op&);  // true: over, resume `waiter`; false: it waits again or needs nothing more
  explicit Op(Attempt what) : attempt(what) {}
  Op(const Op&) = delete;
  ~Op() {
    if (socket || deferred_by) leave();
  }
  void leave() noexcept;  // waits no more

  Attempt attempt;
  std::coroutine_handle<> waiter;
  Socket* socket = nullptr;     // while it waits there
  Loop* deferred_by = nullptr;  // while it waits for the next batch
  Op* next = nullptr;           // in the socket's list
};

// Ring of a list whose members unlink themselves. A lone Link is its own ring, a list's head
// included.
struct Link {
  Link* previous = this;
  Link* next = this;
  Link() = default;
  Link(const Link&) = delete;
  ~Link() { unlink(); }
  bool alone() const { return next == this; }
  void unlink() {
    previous->next = next;
    next->previous = previous;
    previous = next = this;
  }
  void insert_before(Link& other) {  // at the end of the list whose head is `other`
    unlink();
    previous = other.previous;
    next = &other;
    previous->next = other.previous = this;
  }
};

// Registered with the loop's epoll; the loop frees it after the batch of events in which it was
// retired, so that a later event of the same batch never meets freed memory.
class EventSource {
public:
  virtual ~EventSource() = default;
  virtual void on_events(uint32_t epoll_events) = 0;
};

}  // namespace sallyport::net
