// One request to the admin (or health, or status) port of the sidecar in the same pod.
#pragma once
#include <chrono>
#include <string>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/core/limits.h"

namespace sallyport::cli {

// Blocks, for `time` at most. The body of a 200; any other answer is an error
// whose context has what it said.
Result<std::string> ask_admin(const SocketAddress& admin, const std::string& method,
                              const std::string& target,
                              std::chrono::milliseconds time = limits::admin_answer_time);

}  // namespace sallyport::cli
