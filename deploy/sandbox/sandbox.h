// A sandbox as its users see it: Kubernetes manifests running as network namespaces on this
// machine.
//
//   auto sandbox = Sandbox::up_directory("deploy/samples/egress-mtls", {});
//   auto result = sandbox->exec("sleep", {"curl", "-sS",
//   "http://my-nginx.mesh-external.svc.cluster.local"});
//
// Threading: one thread at a time. The sandbox itself is another process; calls block until it has
// answered. Ownership: a Sandbox made by `up` owns what runs and ends it when destroyed (or when
// this process ends in any way),
//            unless it is detached. An attached one owns nothing.
// Needs root, iproute2, iptables; tcpdump for captures.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "deploy/sandbox/config_view.h"
#include "deploy/sandbox/enter.h"
#include "deploy/sandbox/wire.h"

namespace sallyport::sandbox {

struct Options {
  std::string name = "sandbox";  // one machine's sandboxes have different names
  bool inject = true;            // run `sallyport inject` over the manifests
  std::string sallyport;         // the program; empty: SALLYPORT_BIN_DIR, else beside this program
  std::chrono::milliseconds ready_timeout{60000};
  std::function<void(const std::string&)> progress;  // one line each; may be empty
};

struct ExecOptions {
  std::string container;                 // empty: the pod's default one
  std::string input;                     // stdin
  std::vector<std::string> environment;  // NAME=value, besides the container's
};

struct PodRow {
  std::string namespace_name, name, state, restarts, ipv4, ipv6;
};

// A tcpdump on the node's end of a pod's link. Destroying it ends it.
class Capture {
public:
  Capture() = default;
  Capture(Capture&& other) noexcept;
  Capture& operator=(Capture&& other) noexcept;
  ~Capture() { stop(); }
  void stop();  // Everything seen so far is in the file afterwards.
  const std::string& file() const { return file_; }

private:
  friend class Sandbox;
  pid_t pid_ = -1;
  UniqueFd said_;  // its stderr
  std::string file_;
};

// What `enter` answers: how to get into a container.
struct Entrance {
  ProcessSpec process;
  std::string interface, ipv4, ipv6, pod;
  std::vector<UniqueFd> fds;  // net, uts, ipc, pid, mnt, the node's net
  Doors doors() const;
};

class Sandbox {
public:
  // Starts it, and returns when every pod is ready. `manifests`: file name → text.
  // Error: what is wrong, with the end of the failing container's log; nothing is left running
  // then.
  static Result<Sandbox> up(const Files& manifests, const Options& options);
  static Result<Sandbox> up_directory(const std::string& directory, const Options& options);
  static Result<Sandbox> attach(const std::string& name,
                                std::function<void(const std::string&)> progress = {});

  Sandbox(Sandbox&&) = default;
  Sandbox& operator=(Sandbox&& other) noexcept;
  ~Sandbox();

  // Pods are named "pod", "namespace/pod", or by their Deployment (its first pod).
  Result<CommandResult> exec(const std::string& pod, const std::vector<std::string>& argv,
                             const ExecOptions& options = {});
  Result<std::string> logs(const std::string& pod, const std::string& container = {});
  // The log from byte `offset` on; sets `offset` to where the next call continues.
  Result<std::string> logs_from(const std::string& pod, const std::string& container,
                                uint64_t& offset);
  // Changes or adds what `text` names, at once: pods are started, volumes and the sidecars'
  // configuration rewritten.
  Result<void> apply(const std::string& file, const std::string& text);
  // Takes back what was given under that name, and what `text` names, wherever it came from. Error:
  // neither is anything.
  Result<void> remove(const std::string& file, const std::string& text = "");
  Result<void> wait_ready(std::chrono::milliseconds patience);
  // Writes packets of the pod's link into `file` (pcap), from the return of this call on.
  Result<Capture> capture(const std::string& pod, const std::string& file,
                          const std::string& filter = {});
  Result<std::vector<PodRow>> status();
  Result<Entrance> entrance(const std::string& pod, const std::string& container = {});
  void detach();  // It lives on after this object and this process.
  // Ends it, after at most `grace` for the programs in it; returns when every process is gone.
  Result<void> down(std::chrono::milliseconds grace = std::chrono::milliseconds(2000));

private:
  Sandbox(Options options, UniqueFd socket, pid_t supervisor);
  Result<Frame> ask(const Frame& request, std::vector<UniqueFd>* fds = nullptr);
  Result<void> send_files(const Files& files);

  Options options_;
  UniqueFd socket_;
  pid_t supervisor_ = -1;  // ours, to be reaped; -1 when attached
};

// Manifest files (*.yaml, *.yml, *.json) of a directory by name, not below it. Error: none there,
// or unreadable.
Result<Files> read_manifests(const std::string& directory);

// Path of a program of the project: in SALLYPORT_BIN_DIR, else beside the running program, else one
// folder up. Empty: not there.
std::string find_program(const std::string& name);

}  // namespace sallyport::sandbox
