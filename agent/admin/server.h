// The agent's own ports, by Beast on the configuration thread's io_context:
//   15000 on loopback, admin: /ready /config_dump /clusters /certs /stats /stats/prometheus
//   /logging
//         /debug/egressz /server_info /quitquitquit /drain_listeners /healthcheck/fail
//         /healthcheck/ok (POST)
//   15021 health: /healthz/ready, for kubelet and load balancers
//   15020 status: see status.h
//   15090 metrics: /stats/prometheus, the proxy's own
//
// Threading: the io_context's thread; every Source is called on it.
// Limits: limits::admin_connections on each port (the one that waits the longest for its client
// goes for a newcomer), admin_head_bytes, admin_body_bytes, admin_idle; network_head_time.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/admin/app_metrics.h"
#include "agent/admin/app_probes.h"
#include "agent/config/service.h"
#include "agent/core/address.h"
#include "agent/observe/egress.h"
#include "agent/observe/metrics.h"
#include "agent/upstream/upstreams.h"

namespace sallyport::admin {

// Something that readiness waits for: "configuration", "workers", "certificate".
struct Condition {
  std::string name;
  std::function<std::string()> missing;  // why it is not met, for people; empty: it is
};

struct Drain {  // Envoy's /drain_listeners
  bool inbound_only = false;
  bool graceful = false;        // listening goes on for drainDuration; answers ask clients to leave
  bool keep_listening = false;  // and does not end then
};

struct Sources {
  const config::Service& config;
  std::vector<const observe::WorkerMetrics*> workers;
  // Asks every worker for its clusters and calls back on the admin thread.
  std::function<void(std::function<void(std::vector<upstream::Upstreams::ClusterInfo>)>)> clusters;
  // The same for what was learned of destinations (--learn); empty: nothing is.
  std::function<void(std::function<void(observe::EgressReport)>)> egress = {};
  std::vector<Condition> conditions;  // ready when all are met and nothing drains
  std::function<bool()> draining;
  std::function<void(const Drain&)> drain;    // /drain_listeners
  std::function<void()> drain_agent;          // /drain of the status port
  std::function<void()> quit;                 // /quitquitquit; called once the answer is out
  std::function<std::string()> more_metrics;  // Prometheus lines of process-wide things (log drops)
  // /logging: sets the level of a logger (empty: of all); false: no such logger or level. Both
  // empty: it says that it is not offered.
  std::function<bool(const std::string& logger, const std::string& level)> set_log_level = {};
  std::function<std::vector<std::pair<std::string, std::string>>()> log_levels = {};
  std::function<void(const std::string&)> log = {};  // what readiness waits for; may be empty
  AppProbes probes = {};
  ProbeOptions probe_options = {};
  ScrapeTargets scrape_targets = {};
  std::function<void(const std::string&)> warn = {};  // a probe that begins to fail; may be empty
};

struct Ports {
  SocketAddress admin;
  std::vector<SocketAddress> health, status, metrics = {};
};

class Server {
public:
  // Errors: an address in use, or not this machine's.
  static Result<std::unique_ptr<Server>> start(boost::asio::io_context& io, const Ports& ports,
                                               Sources sources);
  ~Server();  // closes every connection
  Server(const Server&) = delete;
  Ports ports() const;  // as bound

private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::admin
