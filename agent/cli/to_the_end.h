// Work that nobody's impatience leaves half done: it goes on in a process and session of its own
// when its caller is killed, unless the whole PID namespace ends with that.
#pragma once
#include <functional>

namespace sallyport::cli {

// Runs `work` in a child, and returns what it returned; 1 where the child itself was killed. What
// the caller's streams hold is written before. Not for a process with threads.
int run_to_the_end(const std::function<int()>& work);

}  // namespace sallyport::cli
