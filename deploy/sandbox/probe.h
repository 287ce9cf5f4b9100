// Readiness: kubelet's probes, sent from the node to the pod's address as kubelet does.
#pragma once
#include <sys/types.h>

#include <vector>

#include "agent/core/address.h"
#include "deploy/sandbox/manifest.h"

namespace sallyport::sandbox {

// The number of a probe's port, by name where it is one; 0 when the container has no such port.
uint16_t probe_port(const Container& container, const std::string& port);

// A child process that probes once and ends with 0 (ready) or 1; it ends itself after the probe's
// timeout. For httpGet and tcpSocket. REQUIRES: called in the node's network namespace.
pid_t start_network_probe(const Probe& probe, const IpAddress& pod, uint16_t port);

// True when something listens on every port, seen in the tables of the network namespace of process
// `pid`.
bool listens(pid_t pid, const std::vector<uint16_t>& ports);

}  // namespace sallyport::sandbox
