// Running a command in a pod that is already there: exec, and exec probes.
#pragma once
#include <string>
#include <vector>

#include "deploy/sandbox/identity.h"
#include "deploy/sandbox/manifest.h"
#include "deploy/sandbox/namespaces.h"

namespace sallyport::sandbox {

struct Doors {  // descriptors of a container's namespaces
  int net = -1, uts = -1, ipc = -1, pid = -1, mnt = -1;
};

// Joins them for good. Children are then members of the pod's pid namespace; the caller itself
// stays outside. Returns what went wrong, or nothing. REQUIRES: single-threaded.
std::string join_namespaces(const Doors& doors);

// Runs `process` in the container with the caller's stdin, stdout and stderr, passes on signals
// that are sent to this process, and returns its exit code (128 + signal). The calling process has
// left its own namespaces afterwards. REQUIRES: a process of its own, single-threaded.
int run_inside(const Doors& doors, const ProcessSpec& process);

// A child process that runs the probe's command and ends with its code, or by the probe's timeout.
pid_t start_exec_probe(const Probe& probe, const PodNamespaces& pod, UniqueFd mount_namespace,
                       const ProcessSpec& container);

}  // namespace sallyport::sandbox
