#include "agent/net/dial.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/net/timers.h"

namespace sallyport::net {

// Waits until an attempt ends, or the time is over.
class Dialling::Change : Timer {
public:
  Change(Dialling& of, std::optional<std::chrono::milliseconds> time)
      : Timer(of.loop_, [](Timer& timer) { static_cast<Change&>(timer).awaiting_.resume(); }),
        of_(of),
        time_(time) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) {
    awaiting_ = awaiting;
    for (Attempt& attempt : of_.attempts_) attempt.task.resume_at_end(awaiting);
    if (time_) arm(*time_);
  }
  // What ends while nobody waits is seen by the next look().
  void await_resume() {
    disarm();
    for (Attempt& attempt : of_.attempts_) attempt.task.resume_at_end({});
  }

private:
  Dialling& of_;
  std::optional<std::chrono::milliseconds> time_;
  std::coroutine_handle<> awaiting_;
};

Dialling::Dialling(Loop& loop, std::vector<SocketAddress> addresses,
                   std::chrono::milliseconds timeout, IpAddress source_v4, IpAddress source_v6)
    : loop_(loop),
      addresses_(std::move(addresses)),
      source_v4_(source_v4),
      source_v6_(source_v6),
      deadline_(loop.now() + timeout) {}

void Dialling::begin() {
  const SocketAddress to = addresses_[begun_++];
  // Upwards: an attempt that has used up its time has used up all of it.
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - loop_.now());
  attempts_.push_back({to, connect(loop_, to, std::max(left, std::chrono::milliseconds(1)),
                                   Source{to.ip().is_v4() ? source_v4_ : source_v6_})});
  attempts_.back().task.start({});
  turn_ends_ = loop_.now() + limits::connect_attempt_delay;
}

// Collects the attempts that have ended. nullopt: those under way are worth waiting for.
std::optional<Dialling::Turn> Dialling::look() {
  bool one_failed = false;
  for (Attempt& attempt : attempts_) {
    if (!attempt.task.done()) continue;
    auto result = attempt.task.take();
    attempt.task = {};
    if (result) {
      connected_ = std::move(*result);
      used_ = attempt.to;
      attempts_.clear();
      return Turn::connected;
    }
    one_failed = true;
    const Error& error = result.error();
    const bool cut_short = error.fault == Fault::timed_out && attempt.to != addresses_.front();
    if (error.side == Side::upstream && !cut_short) failed_.push_back(attempt.to);
    if (!first_error_) {
      first_error_ = error;
    } else {
      other_errors_ += "; " + error.context;
    }
  }
  std::erase_if(attempts_, [](const Attempt& attempt) { return !attempt.task; });
  const auto now = loop_.now();
  if (more() && now < deadline_ && (one_failed || now >= turn_ends_)) return Turn::next;
  if (attempts_.empty()) return Turn::failed;
  return std::nullopt;
}

Task<Dialling::Turn> Dialling::step() {
  if (more()) begin();
  auto turn = look();
  while (!turn) {
    std::optional<std::chrono::milliseconds> time;
    if (more()) {
      time = std::chrono::ceil<std::chrono::milliseconds>(turn_ends_ - loop_.now());
      *time = std::max(*time, std::chrono::milliseconds(0));
    }
    Change change(*this, time);
    co_await change;
    turn = look();
  }
  co_return *turn;
}

Error Dialling::failure() const {
  Error error = *first_error_;
  error.context += other_errors_;
  return error;
}

}  // namespace sallyport::net
