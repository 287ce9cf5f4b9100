// The sandbox itself: the first process of its own pid namespace, in the node's network namespace.
// Runs the pods, keeps Services, DNS and volumes in step with them, and serves clients on its
// control socket.
//
// Everything it makes is in namespaces and on a tmpfs that only its processes hold. When it dies,
// however it dies, the kernel ends them all.
#pragma once
#include <map>
#include <memory>
#include <set>

#include "deploy/sandbox/dns_server.h"
#include "deploy/sandbox/pod_runner.h"
#include "deploy/sandbox/wire.h"

namespace sallyport::sandbox {

class Supervisor {
public:
  // `listener`: the control socket. `founder`: the connection of the client that started it; while
  // it has not said "detach", its end is the sandbox's end. `sallyport`: path of the program, or
  // empty.
  Supervisor(UniqueFd listener, UniqueFd founder, std::string sallyport);
  Supervisor(const Supervisor&) = delete;
  // REQUIRES: process 1 of its pid namespace, with fresh network and mount namespaces. Returns when
  // it is to exit.
  Result<void> run();

private:
  struct Client {
    UniqueFd socket;
    std::string received;
    bool founder = false;
    bool waits = false;                     // for readiness
    EventLoop::Clock::time_point deadline;  // of that
  };

  // supervisor.cpp: the cluster
  Result<void> set_up();
  Result<void> load(const Files& sources, const std::string& manifests);
  Result<void> remove(const std::string& file, const std::string& text);
  void forget(const Manifests& gone);
  Result<void> start_pods(const Manifests& newer);
  Result<void> refresh();  // Services, DNS, volumes
  void tick();
  void update_network();
  void tell_pods();
  std::vector<Backend> backends() const;
  bool all_ready() const;
  void stop(std::chrono::milliseconds grace);
  void retire(const std::function<bool(const PodRunner&)>& which);

  // control.cpp: clients
  void accept_client();
  void add_client(UniqueFd socket, bool founder);
  void read_client(int fd);
  void drop_client(int fd);
  void serve(int fd, const Frame& request);
  void enter(int fd, const Frame& request);
  void start_waiting(int fd, std::chrono::milliseconds patience);
  void answer_waiting();
  void say(const std::string& text);
  Frame apply(const Frame& request);
  Frame logs(const Frame& request);
  Frame status() const;
  // "pod", "namespace/pod" or a Deployment's name. Null with the reason in `why`.
  PodRunner* find_pod(const std::string& name, std::string& why) const;

  EventLoop loop_;
  DnsServer dns_;
  Machine machine_;
  UniqueFd listener_;
  std::map<int, Client> clients_;
  struct EndingPod {
    std::unique_ptr<PodRunner> runner;
    EventLoop::Clock::time_point deadline;
  };
  std::vector<std::unique_ptr<PodRunner>> pods_;
  std::vector<EndingPod> ending_;  // deleted or replaced, in their grace period
  std::size_t next_pod_ = 0, next_service_ = 0;
  std::string rules_v4_, rules_v6_;   // as installed
  std::set<std::string> were_ready_;  // pods, by key
  bool network_stale_ = true, stopping_ = false;
  std::string network_error_;
  static constexpr std::size_t said_max = 50;
  std::vector<std::string> said_;
  std::map<std::string, std::string> told_states_;  // by pod: as last said
};

}  // namespace sallyport::sandbox
