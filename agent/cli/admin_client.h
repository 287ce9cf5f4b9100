// One request to the admin port of the sidecar in the same pod.
#pragma once
#include <string>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::cli {

// Blocks, for limits::admin_answer_time at most. The body of a 200; any other answer is an error
// whose context has what it said.
Result<std::string> ask_admin(const SocketAddress& admin, const std::string& method,
                              const std::string& target);

}  // namespace sallyport::cli
