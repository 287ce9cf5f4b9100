// Starting a supervisor as a process of its own.
#pragma once
#include <string>

#include "deploy/sandbox/process.h"

namespace sallyport::sandbox {

struct Founded {
  UniqueFd socket;  // the founder's connection: while it hasn't said "detach", its end is the
                    // sandbox's end
  pid_t pid = -1;   // in the caller's pid namespace; a child of the caller
};

// Error: no root, the name is taken, or the kernel refuses namespaces.
Result<Founded> start_supervisor(const std::string& name, const std::string& sallyport);

}  // namespace sallyport::sandbox
