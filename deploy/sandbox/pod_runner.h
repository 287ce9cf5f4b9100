// One pod's life: namespaces, volumes, init containers one after another, containers, restarts,
// readiness.
//
// Threading: the supervisor's loop. Ownership: the runner owns the pod's processes; destroying it
// kills them.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deploy/sandbox/cluster.h"
#include "deploy/sandbox/event_loop.h"
#include "deploy/sandbox/images.h"
#include "deploy/sandbox/launch.h"
#include "deploy/sandbox/log_buffer.h"
#include "deploy/sandbox/pod_values.h"
#include "deploy/sandbox/token_signer.h"

namespace sallyport::sandbox {

// What all pods of a sandbox share. Outlives them.
struct Machine {
  EventLoop& loop;
  UniqueFd own_pid;       // descriptor of the supervisor's pid namespace
  std::string directory;  // on the sandbox's own tmpfs
  std::string sallyport;  // path of the program; empty: none
  Manifests manifests;    // everything applied so far
  Files sources;          // the text it came from, for the sidecars' configuration
  ServiceIps service_ips;
  std::string pods_text;  // all pods with their addresses, for the sidecars too
  Images images;
  TokenSigner tokens = {};
  std::function<void(const std::string&)> say;  // progress, for people
  std::function<void()> readiness_changed;
};

struct ContainerRun {
  enum class Phase : uint8_t { waiting, running, ended };
  Container container;
  Phase phase = Phase::waiting;
  pid_t pid = -1;
  pid_t probe_pid = -1, hook_pid = -1;
  bool executed = false;  // exec succeeded
  bool ready = false;
  bool post_start_due = false;  // the next container waits for it
  enum class Stop : uint8_t { no, pre_stop, due, signalled };
  Stop stop = Stop::no;
  int exit_code = 0;
  int failures = 0;  // ends since it was last ready
  int restarts = 0;
  EventLoop::Clock::time_point next_start, next_probe;
  std::string why;  // it couldn't start
  std::string scratch;
  LogBuffer log;
  UniqueFd output, status;
  ProcessSpec process;  // as last launched, for exec
};

class PodRunner {
public:
  static constexpr int failures_max =
      3;  // before the sandbox calls the pod failed (it is restarted all the same)
  PodRunner(Machine& machine, Pod pod, std::size_t index);
  ~PodRunner();
  PodRunner(const PodRunner&) = delete;

  Result<void> create();
  void advance();  // Starts and probes what is due. Call often; it is cheap.
  Result<void>
  refresh_volumes();  // After an apply: ConfigMaps, Secrets, the sidecars' configuration.
  // As kubelet: preStop hooks, SIGTERM to the application's containers, and when they have ended to
  // native sidecars, the last one first. No restarts from now on.
  void terminate();
  bool ended() const;  // nothing runs any more

  const Pod& pod() const { return pod_; }
  bool ready() const { return ready_; }
  std::string failed() const;  // why the pod can't become ready; empty while there is hope
  std::string state() const;   // one line for status and progress
  int restarts() const;
  const PodNamespaces& namespaces() const { return namespaces_; }
  const PodLink& link() const { return link_; }
  // By name; the default container for an empty name; null when there is none.
  ContainerRun* container(const std::string& name);

private:
  bool advance_init();
  void start(ContainerRun& run);
  Result<ContainerSpec> specify(ContainerRun& run);
  std::vector<Bind> binds_of(const Container& container) const;
  void take_output(ContainerRun& run);
  void take_status(ContainerRun& run);
  void on_end(ContainerRun& run, int wait_status);
  void fail_start(ContainerRun& run, const std::string& why);
  void probe(ContainerRun& run);
  pid_t start_handler(const Probe& handler, const ContainerRun& run);
  bool run_post_start(ContainerRun& run);  // true: nothing to wait for any more
  void begin_stop(ContainerRun& run);
  void signal_next();
  void set_ready(ContainerRun& run, bool ready);
  void update_ready();
  Result<Files> files_of(const Volume& volume) const;
  std::string volume_path(const std::string& name) const { return directory_ + "/volumes/" + name; }
  bool is_init(const ContainerRun& run) const;

  Machine& machine_;
  Pod pod_;
  PodStatus status_;
  PodLink link_;
  PodNamespaces namespaces_;
  std::string directory_;
  std::vector<std::unique_ptr<ContainerRun>> inits_, containers_;
  std::size_t next_init_ = 0;
  int serial_ = 0;
  bool ready_ = false, stopping_ = false;
};

// The mount namespace of a running container, to enter it; -1 when it doesn't run.
UniqueFd mount_namespace_of(const ContainerRun& run);

}  // namespace sallyport::sandbox
