// Who a process in a pod runs as, and its exec.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::sandbox {

struct Identity {  // who a process runs as
  uint32_t user = 0, group = 0;
  std::vector<std::string> capabilities_added, capabilities_dropped;
  bool privileged = false, no_new_privileges = false;
};

struct ProcessSpec {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // NAME=value
  std::string working_dir = "/";
  Identity identity;
};

// Becomes `process.identity` for good and executes. Returns only on failure, with the reason.
// REQUIRES: a process of its own, single-threaded, its descriptors 0-2 set.
// `die_with_parent`: killed when the calling process's parent ends.
std::string become(const ProcessSpec& process, bool die_with_parent = false);

// The numbers of the capabilities that `identity` keeps (as container runtimes: fourteen by
// default). Unknown names are passed over.
std::vector<int> kept_capabilities(const Identity& identity);

}  // namespace sallyport::sandbox
