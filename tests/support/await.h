// Runs a loop on the test's thread until a task has ended, and gives its value.
#pragma once
#include <optional>
#include <utility>

#include "agent/net/loop.h"
#include "agent/net/task.h"

namespace sallyport::test {

namespace detail {
// `running`: the loop runs meanwhile. A task that ends at once must not stop the loop's next run.
template <class T>
net::Task<void> store(net::Task<T> task, std::optional<T>& value, const bool& running,
                      net::Loop& loop) {
  value.emplace(co_await std::move(task));
  if (running) loop.stop();
}
inline net::Task<int> with_value(net::Task<void> task) {
  co_await std::move(task);
  co_return 0;
}
}  // namespace detail

template <class T>
T await(net::Loop& loop, net::Task<T> task) {
  std::optional<T> value;
  bool running = false;
  loop.spawn(detail::store(std::move(task), value, running, loop));
  running = true;
  if (!value) loop.run();
  return std::move(*value);
}
inline void await(net::Loop& loop, net::Task<void> task) {
  await(loop, detail::with_value(std::move(task)));
}

}  // namespace sallyport::test
