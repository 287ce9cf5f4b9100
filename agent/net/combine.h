// when_any and deadlines over Tasks. The losers are destroyed, which cancels them.
#pragma once
#include <chrono>
#include <optional>
#include <variant>

#include "agent/net/loop.h"
#include "agent/net/task.h"

namespace sallyport::net {

// Value type of a Task in a variant: void becomes monostate.
template <class T>
using Valued = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// Starts all, left to right; the first to end gives the result (its index in the variant), the
// others are destroyed before the awaiter continues. A task that ends at once wins without the
// later ones being started.
template <class... T>
Task<std::variant<Valued<T>...>> when_any(Task<T>... tasks);

// nullopt when the time is over first.
template <class T>
Task<std::optional<Valued<T>>> with_deadline(Loop& loop, std::chrono::milliseconds time,
                                             Task<T> task);

// Runs both to their end (the two directions of a relay).
inline Task<void> when_both(Task<void> a, Task<void> b);

}  // namespace sallyport::net

#include "agent/net/combine_impl.h"
