// A container's process: file system, identity, capabilities, exec.
//
// The root is an overlay over the machine's own root: programs are the machine's, and all that a
// container writes stays in the sandbox's memory. /tmp, /run, /home and /root start empty, /dev,
// /proc and /sys are its own.
#pragma once
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "deploy/sandbox/identity.h"
#include "deploy/sandbox/namespaces.h"

namespace sallyport::sandbox {

struct Bind {
  std::string source, target;  // source: a path as the supervisor sees it
  bool read_only = false;
};

struct ContainerSpec {
  ProcessSpec process;
  std::string scratch;  // an own, existing directory on a tmpfs for the overlay
  std::vector<Bind> binds;
  std::map<std::string, std::string> files;                // path → content: resolv.conf and such
  std::vector<std::pair<std::string, std::string>> links;  // path → target
  bool read_only_root = false;
};

struct Launched {
  pid_t pid = -1;
  UniqueFd output;  // stdout and stderr
  UniqueFd status;  // ends empty when exec succeeded; else says why not
};

// Starts it in the pod. `own_pid`: descriptor of the caller's pid namespace.
Result<Launched> launch(const ContainerSpec& spec, const PodNamespaces& pod, int own_pid);

}  // namespace sallyport::sandbox
