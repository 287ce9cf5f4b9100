// The file system of a container: see launch.h for what it is.
#pragma once
#include <string>

#include "deploy/sandbox/launch.h"

namespace sallyport::sandbox {

// Makes the calling process's view of the file system the container's. Returns what went wrong, or
// nothing. REQUIRES: a single-threaded process that is a member of the pod's pid, network and uts
// namespaces; root.
std::string make_root(const ContainerSpec& spec);

}  // namespace sallyport::sandbox
