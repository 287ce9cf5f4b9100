// The coroutines behind combine.h. Included by combine.h only.
#pragma once
#include <coroutine>
#include <tuple>
#include <type_traits>

#include "agent/net/timers.h"

namespace sallyport::net {
namespace detail {

template <class T>
Valued<T> take_value(Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return task.take();
  }
}

// Starts the tasks in their order; continues with the first end. A task may end while a later one
// is being started.
template <class... T>
struct FirstOf {
  std::tuple<Task<T>...>& tasks;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    const auto start_all = [](Task<T>&... each) { return (each.start({}) && ...); };
    const auto all_wait = [](Task<T>&... each) { return !(each.done() || ...); };
    if (!std::apply(start_all, tasks) || !std::apply(all_wait, tasks)) return false;
    std::apply([&](Task<T>&... each) { (each.resume_at_end(awaiting), ...); }, tasks);
    return true;
  }
  void await_resume() const noexcept {}
};

template <std::size_t I, class Variant, class Tasks>
Variant first_value(Tasks& tasks) {
  auto& task = std::get<I>(tasks);
  if constexpr (I + 1 < std::tuple_size_v<Tasks>) {
    if (!task.done()) return first_value<I + 1, Variant>(tasks);
  }
  return Variant(std::in_place_index<I>, take_value(task));
}

template <class... T>
Task<std::variant<Valued<T>...>> first_of(std::tuple<Task<T>...> tasks) {
  co_await FirstOf<T...>{tasks};
  auto value = first_value<0, std::variant<Valued<T>...>>(tasks);
  const auto destroy = [](Task<T>&... each) { ((void)(each = Task<T>()), ...); };
  std::apply(destroy, tasks);
  co_return value;
}

// Runs the task under a fine timer, in one frame.
template <class T>
class InTime : Timer {
public:
  InTime(Loop& loop, std::chrono::milliseconds time, Task<T>& task)
      : Timer(loop, [](Timer& timer) { static_cast<InTime&>(timer).awaiting_.resume(); }),
        time_(time),
        task_(task) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    if (!task_.start(awaiting)) return false;
    awaiting_ = awaiting;
    arm(time_);
    return true;
  }
  void await_resume() { disarm(); }

private:
  std::chrono::milliseconds time_;
  Task<T>& task_;
  std::coroutine_handle<> awaiting_;
};

// Awaits a task that was started before.
template <class T>
struct EndOf {
  Task<T>& task;
  bool await_ready() const noexcept { return task.done(); }
  void await_suspend(std::coroutine_handle<> awaiting) { task.resume_at_end(awaiting); }
  void await_resume() const noexcept {}
};

}  // namespace detail

template <class... T>
Task<std::variant<Valued<T>...>> when_any(Task<T>... tasks) {
  return detail::first_of<T...>(std::tuple<Task<T>...>(std::move(tasks)...));
}

template <class T>
Task<std::optional<Valued<T>>> with_deadline(Loop& loop, std::chrono::milliseconds time,
                                             Task<T> task) {
  co_await detail::InTime<T>(loop, time, task);
  std::optional<Valued<T>> value;
  if (task.done()) value.emplace(detail::take_value(task));
  task = Task<T>();
  co_return value;
}

// Compiled once (combine.cpp): gcc 12 names a coroutine frame's fields after the file they are in,
// and link-time optimization then takes two copies for two types.
extern template Task<std::optional<std::monostate>> with_deadline(Loop&, std::chrono::milliseconds,
                                                                  Task<void>);

inline Task<void> when_both(Task<void> a, Task<void> b) {
  a.start({});
  b.start({});
  co_await detail::EndOf<void>{a};
  co_await detail::EndOf<void>{b};
}

}  // namespace sallyport::net
