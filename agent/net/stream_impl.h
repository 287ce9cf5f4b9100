// The awaiters of Stream. Included by stream.h only.
#pragma once
#include <coroutine>
#include <type_traits>

#include "agent/net/loop.h"
#include "agent/net/op.h"
#include "agent/net/socket.h"

namespace sallyport::net {

// An Op around `Step`: tries at once, waits for what the step wants, tries again when the loop says
// so. It lives in the awaiting frame, which no event outlives: its destructor takes it off the
// socket.
template <class Value, class Step>
class [[nodiscard]] Attempt : Op {
public:
  Attempt(Socket& socket, Step step)
      : Op([](Op& op) { return static_cast<Attempt&>(op).again(); }),
        on_(socket),
        step_(std::move(step)) {}

  // A task whose bytes are always at hand gives way after its share of the batch.
  bool await_ready() { return run() && on_.loop.spend(); }
  void await_suspend(std::coroutine_handle<> awaiting) {
    waiter = awaiting;
    if (result_.want == Want::nothing) on_.loop.defer(*this);
  }
  Value await_resume() const {
    if constexpr (std::is_same_v<Value, bool>) {
      return result_.bytes > 0;
    } else if constexpr (!std::is_void_v<Value>) {
      return result_.bytes;
    }
  }

private:
  bool again() { return result_.want == Want::nothing || run(); }
  bool run() {
    result_ = step_(on_);
    if (result_.want == Want::nothing) return true;
    if (on_.timed_out) {
      result_ = {-1, Want::nothing};
      return true;
    }
    on_.wait(*this, result_.want);
    return false;
  }

  Socket& on_;
  Step step_;
  IoStep result_;
};

namespace detail {
template <class Value, class Step>
Attempt<Value, Step> attempt(Socket& socket, Step step) {
  return Attempt<Value, Step>(socket, std::move(step));
}
}  // namespace detail

inline auto Stream::read(std::span<char> into) {
  return detail::attempt<ssize_t>(*socket_, [into](Socket& socket) { return socket.read(into); });
}

inline auto Stream::write_all(std::span<iovec> pieces) {
  return detail::attempt<bool>(
      *socket_, [pieces](Socket& socket) mutable { return socket.write_all(pieces); });
}

inline auto Stream::write_all(std::string_view bytes) {
  const iovec all{const_cast<char*>(bytes.data()), bytes.size()};
  return detail::attempt<bool>(*socket_, [piece = all](Socket& socket) mutable {
    std::span<iovec> pieces(&piece, 1);
    return socket.write_all(pieces);
  });
}

inline auto Stream::handshake() {
  return detail::attempt<ssize_t>(*socket_, [](Socket& socket) { return socket.handshake(); });
}

inline auto Stream::ready(Want want) {
  return detail::attempt<void>(*socket_, [want](Socket& socket) {
    const bool now =
        want == Want::write ? socket.writable : want == Want::nothing || socket.more_at_hand();
    return IoStep{1, now ? Want::nothing : want};
  });
}

inline auto Stream::ended() {
  return detail::attempt<void>(*socket_, [](Socket& socket) {
    return IoStep{1, socket.ended ? Want::nothing : Want::read};
  });
}

// Two Ops of one waiter; whichever is over first resumes it, and the destructor takes the other off
// its socket.
template <class Room>
class [[nodiscard]] ReadUnlessEnded {
public:
  ReadUnlessEnded(Socket& from, Room room, Socket& other)
      : read_(from, std::move(room)), watch_(other) {}
  bool await_ready() {
    if (read_.again()) return read_.on.loop.spend();
    return watch_.again();
  }
  void await_suspend(std::coroutine_handle<> awaiting) {
    read_.waiter = watch_.waiter = awaiting;
    if (read_.result.want == Want::nothing) read_.on.loop.defer(read_);
  }
  ssize_t await_resume() const {
    return read_.result.want == Want::nothing ? read_.result.bytes : other_ended;
  }

private:
  struct Read : Op {
    Read(Socket& from, Room to)
        : Op([](Op& op) { return static_cast<Read&>(op).again(); }),
          on(from),
          room(std::move(to)) {}
    bool again() {
      if (result.want == Want::nothing) return true;
      result = on.more_at_hand() ? on.read(room()) : IoStep{0, Want::read};
      if (result.want == Want::nothing) return true;
      if (on.timed_out) result = {-1, Want::nothing};
      if (on.timed_out) return true;
      on.wait(*this, result.want);
      return false;
    }
    Socket& on;
    Room room;
    IoStep result{0, Want::read};
  };
  struct Watch : Op {
    explicit Watch(Socket& other)
        : Op([](Op& op) { return static_cast<Watch&>(op).again(); }), on(other) {}
    bool again() {
      if (on.ended) return true;
      on.wait(*this, Want::read);
      return false;
    }
    Socket& on;
  };
  Read read_;
  Watch watch_;
};

inline auto read_unless_ended(Stream& from, std::span<char> into, Stream& other) {
  return ReadUnlessEnded(
      from.socket(), [into] { return into; }, other.socket());
}

template <class Into>
  requires requires(Into& into) { into.room(); }
auto read_unless_ended(Stream& from, Into& into, Stream& other) {
  return ReadUnlessEnded(
      from.socket(), [&into] { return into.room(); }, other.socket());
}

}  // namespace sallyport::net
