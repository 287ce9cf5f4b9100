// Tells of changed files through inotify: one call a burst (limits::config_debounce after its first
// event).
//
// Threading: all calls, and `changed`, on the io_context's thread (or before it runs). Destroying
// it stops all.
#pragma once
#include <functional>
#include <memory>

#include "agent/config/touched.h"
#include "agent/config/watch_points.h"
#include "agent/core/error.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::config {

class Watcher {
public:
  // `changed` gets what the events of the burst named.
  Watcher(boost::asio::io_context& io, std::function<void(const Touched&)> changed);
  ~Watcher();
  Watcher(const Watcher&) = delete;

  // Replaces what is watched; directories that don't exist are left out. True when something is
  // watched that was not before: what was read until now may be old. Error: inotify is not to be
  // had (limits of the machine).
  Result<bool> watch(const WatchPoints& points);

private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::config
