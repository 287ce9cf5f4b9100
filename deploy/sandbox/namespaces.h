// The kernel side of a pod: its namespaces and its link to the node.
//
// Nothing here has a name outside: namespaces live by the processes in them and descriptors to
// them, so that the death of the supervisor (the first process of the sandbox's pid namespace)
// takes all of it along.
#pragma once
#include <sys/types.h>

#include <string>

#include "agent/core/address.h"
#include "deploy/sandbox/process.h"

namespace sallyport::sandbox {

// fork(), but with namespace flags (CLONE_NEW*), and without the thread that a sanitizer's fork may
// start: joining a mount namespace needs a single-threaded process. REQUIRES: no other thread holds
// locks the child will want.
pid_t clone_process(int namespace_flags);

struct PodNamespaces {
  pid_t pause = -1;  // its first process, which only reaps; killing it ends the pod
  UniqueFd net, uts, ipc, pid;
};

struct PodLink {
  std::string interface;  // on the node's side
  IpAddress ipv4, ipv6;
};

// Makes the calling process's fresh network namespace the node: forwarding, addresses, routes for
// Services.
Result<void> set_up_node();

Result<PodNamespaces> make_pod_namespaces(const std::string& host_name);

// A veth pair between the node and the pod, addresses and default routes. Each pod is routed, not
// bridged.
Result<void> connect_pod(const PodNamespaces& pod, const PodLink& link);

bool has_ipv6();  // of the machine

}  // namespace sallyport::sandbox
