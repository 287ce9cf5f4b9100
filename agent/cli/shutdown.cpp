#include "agent/cli/shutdown.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace sallyport::cli {
namespace {

using std::chrono::milliseconds;

std::string in_text(milliseconds time) { return std::to_string(time.count()) + " ms"; }

}  // namespace

struct Shutdown::State {
  State(boost::asio::io_context& io, Actions given)
      : actions(std::move(given)), close_timer(io), end_timer(io) {}

  void drain(const admin::Drain& how, const ShutdownTimes& times) {
    draining = true;
    actions.drain({.inbound_only = how.inbound_only, .stop_accepting = !how.graceful});
    if (!how.graceful || how.keep_listening) return;
    close_timer.expires_after(times.drain);
    close_timer.async_wait([this, how](boost::system::error_code cancelled) {
      if (!cancelled) actions.drain({.inbound_only = how.inbound_only, .stop_accepting = true});
    });
  }
  void end() {
    if (std::exchange(ended, true)) return;
    actions.log("stopping");
    actions.end();
  }
  void after(milliseconds time, void (State::*step)()) {
    end_timer.expires_after(time);
    end_timer.async_wait([this, step](boost::system::error_code cancelled) {
      if (!cancelled) (this->*step)();
    });
  }
  void count() {
    const uint64_t open = actions.connections();
    if (open == 0) {
      actions.log("there are no more active connections");
      return end();
    }
    if (open != told) actions.log("there are still " + std::to_string(open) + " connections");
    told = open;
    after(period, &State::count);
  }

  Actions actions;
  boost::asio::steady_timer close_timer, end_timer;
  milliseconds period{0};
  uint64_t told = 0;
  bool draining = false, terminating = false, drained = false, ended = false;
};

Shutdown::Shutdown(boost::asio::io_context& io, Actions actions)
    : state_(std::make_unique<State>(io, std::move(actions))) {}
Shutdown::~Shutdown() = default;

bool Shutdown::draining() const { return state_->draining; }

void Shutdown::quit() { state_->end(); }

void Shutdown::drain(const admin::Drain& how, const ShutdownTimes& times) {
  state_->drain(how, times);
}

void Shutdown::drain_now(const ShutdownTimes& times) {
  state_->actions.log("draining inbound connections");
  state_->drain({.inbound_only = true, .graceful = true, .keep_listening = true}, times);
  state_->drained = true;
}

void Shutdown::terminate(const ShutdownTimes& times) {
  if (state_->drained) state_->actions.log("already drained");
  if (state_->terminating || state_->drained) return state_->end();
  state_->terminating = true;
  state_->drain({.inbound_only = true, .graceful = true}, times);
  if (!times.until_unused) {
    state_->actions.log("draining for " + in_text(times.termination));
    return state_->after(times.termination, &State::end);
  }
  state_->actions.log("draining for " + in_text(times.minimum) +
                      ", then until there are no more active connections");
  state_->period = times.count_period;
  state_->after(times.minimum, &State::count);
}

}  // namespace sallyport::cli
